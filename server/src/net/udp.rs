//! One worker's UDP socket on one listener: batches in, batches out, no allocation but the copy of
//! each datagram. ICMP errors are read from the socket's error queue, counted and reported; no
//! error of a peer or a network ends a worker.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg, sendmmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams per system call.
pub const BATCH: usize = 64;
/// A system call for so few touches a tenth of the memory that one for a whole batch does, which is
/// what it costs when traffic is thin and the caches are cold.
const FEW: usize = 8;
/// The largest UDP payload there is, so that nothing is ever cut short.
const DATAGRAM_MAX: usize = 65_536;
/// What we ask the kernel to hold for us while a worker is busy.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;
/// How often a datagram is tried while errors that belong to others come.
const TRIES_MAX: u32 = 64;
/// Unsent datagrams kept while the socket cannot take more; beyond it the oldest go, which costs
/// a retransmission each.
const BACKLOG_MAX: usize = 16_384;

/// Fails if anybody has this port, also one who shares it as our workers do: a second Tandem would
/// silently get half of the first one's calls.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// Opens and binds a socket; several workers may bind the same address. The kernel spreads senders
/// over them.
pub fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // With the privilege for it the system-wide maximum does not apply.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_send_buffer_size(RECEIVE_BUFFER)?;
    }
    // Ask for ICMP errors: an unreachable peer is known at once instead of after 32 s. Without
    // them everything still works, later.
    let asked = if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
    } else {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
    };
    if let Err(error) = asked {
        tracing::debug!(%address, %error, "ICMP errors will not be reported");
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What became of the datagrams of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpCounts {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// System calls that received at least one datagram.
    pub receive_batches: u64,
    /// System calls that sent at least one datagram.
    pub send_batches: u64,
    /// ICMP errors that came back.
    pub icmp_errors: u64,
    /// Datagrams given up because the kernel refused them or our backlog was full.
    pub dropped: u64,
    /// Datagrams of banned sources, of which nothing was read.
    pub banned: u64,
}

impl UdpCounts {
    /// Adds another socket's.
    pub fn add(&mut self, other: UdpCounts) {
        self.received += other.received;
        self.sent += other.sent;
        self.receive_batches += other.receive_batches;
        self.send_batches += other.send_batches;
        self.icmp_errors += other.icmp_errors;
        self.dropped += other.dropped;
        self.banned += other.banned;
    }
}

/// A bound socket and its batch space. Not `Send`: made by the worker that uses it.
pub struct UdpPort {
    socket: Socket,
    receive_headers: MultiHeaders<SockaddrStorage>,
    send_headers: MultiHeaders<SockaddrStorage>,
    buffer: Box<[u8]>,
    queue: Vec<(Option<SockaddrStorage>, Bytes)>,
    blocked: bool,
    has_errors: bool,
    counts: UdpCounts,
}

impl UdpPort {
    /// Takes over a socket made by `bind`.
    pub fn new(socket: Socket) -> UdpPort {
        UdpPort {
            socket,
            receive_headers: MultiHeaders::preallocate(BATCH, None),
            send_headers: MultiHeaders::preallocate(BATCH, None),
            // Zeroed pages are not touched until a datagram of that size comes.
            buffer: vec![0; BATCH * DATAGRAM_MAX].into_boxed_slice(),
            queue: Vec::with_capacity(BATCH * 4),
            blocked: false,
            has_errors: false,
            counts: UdpCounts::default(),
        }
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Counts since the start.
    pub fn counts(&self) -> UdpCounts {
        self.counts
    }

    /// The bytes that the kernel holds for us at most, as it accounts them.
    pub fn receive_buffer_size(&self) -> usize {
        self.socket.recv_buffer_size().unwrap_or(0)
    }

    /// True if datagrams wait until the socket can be written again: poll for writability too.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// True if a system call met an error that `take_errors` may explain.
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Receives what is there, at most `BATCH` datagrams, and returns how many.
    pub fn receive(&mut self, mut deliver: impl FnMut(SocketAddr, &[u8])) -> usize {
        let count = self.receive_up_to::<FEW>(&mut deliver);
        if count < FEW {
            count
        } else {
            count + self.receive_up_to::<{ BATCH - FEW }>(&mut deliver)
        }
    }

    fn receive_up_to<const N: usize>(
        &mut self,
        deliver: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> usize {
        let mut chunks = self.buffer.chunks_exact_mut(DATAGRAM_MAX);
        let mut slices: [[IoSliceMut<'_>; 1]; N] = std::array::from_fn(|_| {
            [IoSliceMut::new(chunks.next().expect("the buffer holds BATCH datagrams"))]
        });
        let fd = self.socket.as_raw_fd();
        let headers = &mut self.receive_headers;
        match recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(messages) => {
                let mut count = 0;
                for message in messages {
                    count += 1;
                    let from = message.address.as_ref().and_then(to_address);
                    if let (Some(from), Some(datagram)) = (from, message.iovs().next()) {
                        deliver(from, datagram);
                    }
                }
                self.counts.received += count as u64;
                self.counts.receive_batches += u64::from(count > 0);
                count
            }
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            // A pending ICMP error; `take_errors` tells whose.
            Err(_) => {
                self.has_errors = true;
                0
            }
        }
    }

    /// Puts a datagram into the next batch.
    pub fn queue(&mut self, to: SocketAddr, bytes: Bytes) {
        if self.queue.len() >= BACKLOG_MAX {
            self.queue.drain(..BATCH);
            self.counts.dropped += BATCH as u64;
        }
        self.queue.push((Some(SockaddrStorage::from(to)), bytes));
    }

    /// Sends all that is queued, as far as the socket takes it.
    pub fn flush(&mut self) {
        let mut first = 0;
        self.blocked = false;
        while first < self.queue.len() {
            match self.send_some(first) {
                Ok(sent) => {
                    first += sent;
                    self.counts.sent += sent as u64;
                    self.counts.send_batches += 1;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.blocked = true;
                    break;
                }
                Err(_) => first += self.retry_one(first),
            }
        }
        self.queue.drain(..first);
    }

    fn send_some(&mut self, first: usize) -> Result<usize, Errno> {
        if self.queue.len() - first > FEW {
            self.send_up_to::<BATCH>(first)
        } else {
            self.send_up_to::<FEW>(first)
        }
    }

    fn send_up_to<const N: usize>(&mut self, first: usize) -> Result<usize, Errno> {
        let batch = &self.queue[first..self.queue.len().min(first + N)];
        let slices: [[IoSlice<'_>; 1]; N] =
            std::array::from_fn(|i| [IoSlice::new(batch.get(i).map_or(&[], |(_, bytes)| bytes))]);
        let addresses: [Option<SockaddrStorage>; N] =
            std::array::from_fn(|i| batch.get(i).and_then(|(to, _)| *to));
        let fd = self.socket.as_raw_fd();
        let headers = &mut self.send_headers;
        let slices = &slices[..batch.len()];
        sendmmsg(fd, headers, slices, addresses, [], MsgFlags::MSG_DONTWAIT).map(Iterator::count)
    }

    /// The error may belong to this datagram or be the ICMP answer to an earlier one, which the
    /// kernel reports once at the next call: a second try tells. `ECONNREFUSED` is never this
    /// datagram's own, and while many of them come (answers to rubbish from closed ports, sent by
    /// another worker on this address) each try may meet the next. Returns how far to move on.
    fn retry_one(&mut self, first: usize) -> usize {
        self.has_errors = true;
        let mut tries = 1;
        loop {
            match self.send_some(first) {
                Ok(sent) => {
                    self.counts.sent += sent as u64;
                    self.counts.send_batches += 1;
                    return sent;
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => return 0,
                Err(Errno::ECONNREFUSED) if tries < TRIES_MAX => tries += 1,
                Err(error) => {
                    tracing::debug!(%error, "a datagram was refused by the kernel");
                    self.counts.dropped += 1;
                    return 1;
                }
            }
        }
    }

    /// Empties the socket's error queue: whoever is reported as unreachable goes to `unreachable`.
    pub fn take_errors(&mut self, mut unreachable: impl FnMut(SocketAddr)) {
        self.has_errors = false;
        let mut space = nix::cmsg_space!([u8; 128]);
        let mut text = [0u8; 64];
        for _ in 0..BATCH {
            let mut slices = [IoSliceMut::new(&mut text)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                flags,
            );
            let Ok(message) = message else { break };
            self.counts.icmp_errors += 1;
            let errors = message.cmsgs().into_iter().flatten().filter_map(|cmsg| match cmsg {
                ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error.ee_errno),
                _ => None,
            });
            let is_unreachable =
                errors.map(|errno| Errno::from_raw(i32::try_from(errno).unwrap_or(0))).any(|e| {
                    matches!(e, Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH)
                });
            if let (true, Some(peer)) =
                (is_unreachable, message.address.as_ref().and_then(to_address))
            {
                unreachable(peer);
            }
        }
        // The error queue is apart from the pending error that poll also reports.
        let _ = self.socket.take_error();
    }
}

fn to_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::net::UdpSocket;

    fn port(address: &str) -> (UdpPort, SocketAddr) {
        let socket = bind(address.parse().unwrap()).unwrap();
        let local = socket.local_addr().unwrap().as_socket().unwrap();
        (UdpPort::new(socket), local)
    }

    fn wait(port: &UdpPort, flags: PollFlags) {
        let mut fds = [PollFd::new(port.fd(), flags)];
        assert_eq!(poll(&mut fds, PollTimeout::from(5_000u16)).unwrap(), 1, "nothing came");
    }

    fn receive_all(port: &mut UdpPort, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            wait(port, PollFlags::POLLIN);
            port.receive(|from, bytes| all.push((from, bytes.to_vec())));
        }
        all
    }

    #[track_caller]
    fn check_exchange(address: &str) {
        let (mut a, a_address) = port(address);
        let (mut b, b_address) = port(address);
        for i in 0..100u8 {
            a.queue(b_address, Bytes::from(vec![i; 1 + usize::from(i) * 300]));
        }
        a.flush();
        let all = receive_all(&mut b, 100);
        for (i, (from, bytes)) in all.iter().enumerate() {
            assert_eq!(*from, a_address);
            assert_eq!(bytes, &vec![u8::try_from(i).unwrap(); 1 + i * 300]);
        }
        assert_eq!(a.counts().sent, 100);
        assert_eq!(a.counts().send_batches, 2, "100 datagrams are two batches of 64");
        assert_eq!(b.counts().received, 100);
    }

    #[test]
    fn batches_arrive_whole_and_in_order() {
        check_exchange("127.0.0.1:0");
        if UdpSocket::bind("[::1]:0").is_ok() {
            check_exchange("[::1]:0");
        }
    }

    #[test]
    fn an_unreachable_peer_is_reported_and_hurts_no_other() {
        let (mut a, _) = port("127.0.0.1:0");
        let (mut b, b_address) = port("127.0.0.1:0");
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        a.queue(gone, Bytes::from_static(b"x"));
        a.flush();
        wait(&a, PollFlags::empty());
        // The pending error meets the next datagram, which must leave all the same.
        a.queue(b_address, Bytes::from_static(b"y"));
        a.flush();
        assert_eq!(receive_all(&mut b, 1)[0].1, b"y");
        let mut reported = Vec::new();
        a.take_errors(|peer| reported.push(peer));
        assert_eq!(reported, [gone]);
        assert_eq!(a.counts().icmp_errors, 1);
        assert_eq!(a.counts().dropped, 0);
    }

    #[test]
    fn two_workers_may_share_an_address() {
        let (_a, address) = port("127.0.0.1:0");
        assert!(bind(address).is_ok());
    }
}
