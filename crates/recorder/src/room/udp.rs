//! A UDP socket that is polled at intervals: what has arrived is taken in one go, each packet with the time at which the kernel
//! received it.
//!
//! A room of two speakers receives a hundred packets a second. Waking up for each of them costs more than all that is done with it;
//! a recording has time, as long as it knows when each packet arrived.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

/// How many packets are received with one system call.
const BATCH: usize = 32;
/// The longest datagram that is received whole, in bytes: more than any MTU on the path.
const LONGEST: usize = 2_048;
/// How much may wait in the kernel from one poll to the next, in bytes; each packet counts as 832 or more, however short it is, and
/// the default of 212,992 is filled by 80 ms of 64 people who talk at once. The kernel grants no more than `net.core.rmem_max`, and
/// uses memory only for what is actually waiting.
const WAITING: usize = 4 << 20;
/// The most system calls per poll: the rest of a flood is left for the next one.
const CALLS: usize = 64;

/// A UDP socket that is polled at intervals.
pub struct Udp {
    socket: UdpSocket,
    /// When it was last empty: what is received now arrived after that.
    emptied: Cell<Instant>,
}

impl Udp {
    /// Binds to a free port of an address.
    pub fn bind(address: IpAddr, now: Instant) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        kernel::stamp(&socket)?;
        kernel::let_wait(&socket, WAITING)?;
        Ok(Self { socket, emptied: Cell::new(now) })
    }

    /// The address to which it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends a datagram. What the kernel does not accept now is lost, as on any network.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) {
        let _ = self.socket.send_to(bytes, to);
    }

    /// Receives what has arrived: when it did, from where, and the bytes.
    pub fn receive(&self, mut each: impl FnMut(Instant, SocketAddr, &[u8])) {
        let (earliest, began) = (self.emptied.get(), Instant::now());
        for _ in 0..CALLS {
            let taken = kernel::receive(&self.socket, &mut |at, from, bytes| each(at.max(earliest), from, bytes));
            // An error reports what an earlier datagram of ours met on its way (ICMP); the socket keeps working.
            if taken.is_ok_and(|taken| taken < BATCH) {
                self.emptied.set(began);
                return;
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::cell::RefCell;
    use std::io::{self, IoSliceMut};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd as _;
    use std::time::{Duration, Instant, SystemTime};

    use nix::errno::Errno;
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
        setsockopt, sockopt,
    };
    use nix::sys::time::TimeSpec;

    use super::{BATCH, LONGEST};

    /// Buffers for one batch, shared by all sockets that a thread polls.
    struct Scratch {
        bytes: Vec<u8>,
        v4: MultiHeaders<SockaddrIn>,
        v6: MultiHeaders<SockaddrIn6>,
    }

    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
            bytes: vec![0; BATCH * LONGEST],
            v4: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec))),
            v6: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec))),
        });
    }

    /// Makes the kernel record when each packet arrived (`SO_TIMESTAMPNS`, socket(7)). Where no other socket of the machine asks
    /// for that, it starts a moment later; until then, while a connection is being made, a packet counts as arriving when it is
    /// read.
    pub fn stamp(socket: &UdpSocket) -> io::Result<()> {
        Ok(setsockopt(socket, sockopt::ReceiveTimestampns, &true)?)
    }

    /// Lets this many bytes wait (`SO_RCVBUF`, socket(7)), or as many as the system allows.
    pub fn let_wait(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
        Ok(setsockopt(socket, sockopt::RcvBuf, &bytes)?)
    }

    /// Receives a batch; returns the number of packets.
    pub fn receive(socket: &UdpSocket, each: &mut dyn FnMut(Instant, SocketAddr, &[u8])) -> io::Result<usize> {
        let is_v4 = socket.local_addr()?.is_ipv4();
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { bytes, v4, v6 } = scratch;
            if is_v4 {
                batch(socket, bytes, v4, |from| SocketAddr::V4((*from).into()), each)
            } else {
                batch(socket, bytes, v6, |from| SocketAddr::V6((*from).into()), each)
            }
        })
    }

    fn batch<S: SockaddrLike + Copy>(
        socket: &UdpSocket,
        bytes: &mut [u8],
        headers: &mut MultiHeaders<S>,
        address: impl Fn(&S) -> SocketAddr,
        each: &mut dyn FnMut(Instant, SocketAddr, &[u8]),
    ) -> io::Result<usize> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            bytes.chunks_exact_mut(LONGEST).map(|bytes| [IoSliceMut::new(bytes)]).collect();
        let taken = match recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(taken) => taken,
            Err(Errno::EAGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let now = Now::read();
        let mut count = 0;
        for message in taken {
            count += 1;
            let at = now.instant.checked_sub(age(&message, now.wall)).unwrap_or(now.instant);
            if let (Some(from), Some(bytes)) = (&message.address, message.iovs().next()) {
                each(at, address(from), bytes);
            }
        }
        Ok(count)
    }

    struct Now {
        instant: Instant,
        wall: Duration,
    }

    impl Now {
        #[expect(clippy::disallowed_methods, reason = "only against the kernel's stamp: how long a packet waited")]
        fn read() -> Self {
            let mut best: Option<(Duration, Self)> = None;
            // The thread may be suspended between reading the two clocks; then they are read again.
            for _ in 0..4 {
                let before = Instant::now();
                let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let took = before.elapsed();
                let is_better = best.as_ref().is_none_or(|(least, _)| took < *least);
                if is_better {
                    best = Some((took, Self { instant: before + took / 2, wall }));
                }
                if took < Duration::from_micros(100) {
                    break;
                }
            }
            best.map_or_else(|| Self { instant: Instant::now(), wall: Duration::ZERO }, |(_, now)| now)
        }
    }

    /// How long a packet waited in the kernel.
    fn age<S>(message: &RecvMsg<'_, '_, S>, now: Duration) -> Duration {
        let stamps = message.cmsgs().into_iter().flatten();
        let stamp = stamps.into_iter().find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        stamp.map_or(Duration::ZERO, |stamp| now.saturating_sub(stamp)).min(Duration::from_secs(10))
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Instant;

    use super::{BATCH, LONGEST};

    /// Other kernels are not asked for timestamps: a packet counts as arriving when it is read.
    pub fn stamp(_: &UdpSocket) -> io::Result<()> {
        Ok(())
    }

    /// Nor for a larger buffer: some reject more than they have, and their default is larger than Linux's.
    pub fn let_wait(_: &UdpSocket, _: usize) -> io::Result<()> {
        Ok(())
    }

    /// Receives a batch; returns the number of packets.
    pub fn receive(socket: &UdpSocket, each: &mut dyn FnMut(Instant, SocketAddr, &[u8])) -> io::Result<usize> {
        let mut bytes = [0; LONGEST];
        for taken in 0..BATCH {
            match socket.recv_from(&mut bytes) {
                Ok((length, from)) => each(Instant::now(), from, &bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
        Ok(BATCH)
    }
}

#[cfg(test)]
mod tests;
