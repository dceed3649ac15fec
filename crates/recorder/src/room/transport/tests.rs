//! Tests of `transport`.

use super::*;
use std::net::Ipv4Addr;
use str0m::net::DatagramSend;
use tokio::net::TcpListener;

/// Connects a transport to a server over TCP; returns our end and the server's.
async fn connected(transport: &mut Transport, server: &TcpListener) -> (Candidate, TcpStream) {
    transport.connect(server.local_addr().unwrap());
    let socket = transport.connecting.join_next().await.unwrap().unwrap().unwrap();
    (transport.use_connection(socket).unwrap(), server.accept().await.unwrap().0)
}

fn transport() -> Transport {
    Transport::open(Ipv4Addr::LOCALHOST.into(), Instant::now()).unwrap()
}

async fn received(socket: &mut TcpStream) -> Vec<u8> {
    let length = tokio::time::timeout(Duration::from_secs(5), socket.read_u16()).await;
    let mut bytes = vec![0; usize::from(length.expect("something is sent").unwrap())];
    socket.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_not_there_any_more() {
    let (mut transport, server) = (transport(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let (_, mut theirs) = connected(&mut transport, &server).await;
    theirs.write_all(&[0, 2, 7, 8]).await.unwrap();
    assert_eq!(transport.tcp_packets.recv().await.unwrap().bytes, [7, 8]);
    assert!(transport.has_tcp());
    drop(theirs);
    transport.exchanges.join_next().await.unwrap().unwrap();
    assert!(!transport.has_tcp());
}

#[tokio::test]
async fn leaving_ends_the_connections_and_what_is_said_on_one_of_before_goes_over_the_new_one() {
    let (mut transport, server) = (transport(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let (before, mut theirs) = connected(&mut transport, &server).await;
    assert!(transport.disconnect() == std::slice::from_ref(&before));
    assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(!transport.has_tcp());
    let (_, mut theirs) = connected(&mut transport, &server).await;
    let send = |contents: &[u8]| {
        let destination = server.local_addr().unwrap();
        let contents = DatagramSend::from(contents.to_vec());
        transport.send(&Transmit { proto: Protocol::Tcp, source: before.addr(), destination, contents });
    };
    send(&[0, 1]);
    send(&[129, 205]);
    assert_eq!(received(&mut theirs).await, [129, 205], "ICE's own datagrams are for one path only");
}

#[tokio::test]
async fn an_address_that_refuses_holds_up_no_other() {
    let (mut transport, server) = (transport(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let refuses = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    transport.connect(refuses);
    transport.connect(server.local_addr().unwrap());
    let mut made = 0;
    while let Some(connected) = transport.connecting.join_next().await {
        made += usize::from(connected.unwrap().is_some());
    }
    assert_eq!(made, 1);
}
