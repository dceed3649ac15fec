//! Tests of `udp`.

use super::*;
use std::net::Ipv4Addr;
use std::time::Duration;

#[test]
fn packets_are_as_old_as_they_are_however_late_they_are_taken() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)] {
        let Ok(udp) = Udp::bind(address, Instant::now()) else { continue };
        let (to, sender) = (udp.local_addr().unwrap(), UdpSocket::bind((address, 0)).unwrap());
        // The kernel starts to timestamp a moment after the first socket of the machine asks for it (netstamp_needed).
        std::thread::sleep(Duration::from_millis(200));
        let mut sent = Vec::new();
        for number in 0..70_u8 {
            let before = Instant::now();
            sender.send_to(&[number; 100], to).unwrap();
            sent.push((before, Instant::now()));
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut came = Vec::new();
        udp.receive(|at, from, bytes| {
            assert_eq!((from, bytes.len()), (sender.local_addr().unwrap(), 100));
            came.push((bytes[0], at));
        });
        assert_eq!(came.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..70).collect::<Vec<_>>());
        // Without the kernel's timestamps the first would be 140 ms late. A busy kernel may delay an arrival a little.
        let (slack, late) = (Duration::from_millis(2), Duration::from_millis(50));
        for ((number, at), (before, after)) in came.iter().zip(&sent) {
            let early = before.saturating_duration_since(*at);
            let delay = at.saturating_duration_since(*after);
            assert!(early < slack && delay < late, "packet {number}: {early:?} early, {delay:?} late");
        }
        let mut more = 0;
        udp.receive(|_, _, _| more += 1);
        assert_eq!(more, 0);
    }
}

/// What arrives from 300 people who talk at once between two polls, the second of which is late.
#[cfg(target_os = "linux")]
#[test]
fn what_many_say_from_one_look_to_the_next_has_room() {
    use nix::sys::socket::{getsockopt, sockopt::RcvBuf};

    const PACKETS: usize = 300 * 4 + 300;
    let udp = Udp::bind(Ipv4Addr::LOCALHOST.into(), Instant::now()).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (room, default) = (getsockopt(&udp.socket, RcvBuf).unwrap(), getsockopt(&sender, RcvBuf).unwrap());
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse::<usize>().unwrap();
    // The kernel reports twice what it was asked for, which includes its own overhead.
    assert_eq!(room, 2 * limit.min(WAITING));
    if 2 * limit <= default {
        return;
    }
    assert!(room > default, "{room} bytes may wait, {default} by default");
    for _ in 0..PACKETS {
        sender.send_to(&[0; 130], udp.local_addr().unwrap()).unwrap();
    }
    let mut came = 0;
    udp.receive(|_, _, _| came += 1);
    assert!(came == PACKETS || limit < WAITING, "{came} of {PACKETS} packets");
}

/// The thread is suspended while it takes what has arrived, and more arrives meanwhile.
#[test]
fn what_arrives_while_packets_are_taken_is_not_older_than_it_is() {
    let udp = Udp::bind(Ipv4Addr::LOCALHOST.into(), Instant::now()).unwrap();
    let (to, sender) = (udp.local_addr().unwrap(), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..BATCH {
        sender.send_to(&[0; 100], to).unwrap();
    }
    let (mut sent, mut came) = (None, None);
    udp.receive(|at, _, bytes| {
        if sent.is_none() {
            std::thread::sleep(Duration::from_millis(30));
            sent = Some(Instant::now());
            sender.send_to(&[1; 100], to).unwrap();
        }
        came = came.or((bytes[0] == 1).then_some(at));
    });
    let early = sent.unwrap().saturating_duration_since(came.unwrap());
    assert!(early < Duration::from_millis(2), "{early:?} early");
}
