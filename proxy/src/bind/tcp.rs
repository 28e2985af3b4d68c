//! TCP: listening, and leaving so that no connection is lost.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::Stance;

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on a TCP address, where workers and a proxy that takes this one's place may listen too. `prepare` sets the
/// socket up first.
///
/// # Errors
/// What the kernel says; alone also that somebody listens there, or begins to at this very moment. Listeners with
/// `SO_REUSEPORT` would not notice, and share the clients with another proxy that knows nothing of their keys.
pub(crate) fn listen(
    address: SocketAddr,
    stance: Stance,
    prepare: impl FnOnce(SockRef<'_>) -> io::Result<()>,
) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(stance == Stance::Beside)?;
    prepare(SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // Others may join who say that they want to.
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

// Instructions of classic BPF (linux/filter.h).
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Where a TCP header has its flags, and the two that matter.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Lets nobody begin a connection to this listener any more, without refusing anybody: whoever tries sends the same
/// again after a second, and finds another listener then, or none. Connections that have begun are not touched.
///
/// A listener that is closed would reset what waits in its queue and, unless `net.ipv4.tcp_migrate_req` is set, the
/// handshakes that are on their way. Connections inherit the filter, which concerns nothing that they receive.
///
/// # Errors
/// What the kernel says.
pub(crate) fn turn_away(listener: SockRef<'_>) -> io::Result<()> {
    listener.attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    fn free() -> (SocketAddr, std::net::TcpListener) {
        let listener = listen_at(([127, 0, 0, 1], 0).into(), Stance::Alone).unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    fn listen_at(address: SocketAddr, stance: Stance) -> io::Result<std::net::TcpListener> {
        listen(address, stance, |_| Ok(()))
    }

    #[test]
    fn another_process_cannot_listen_beside_this_one_unless_it_says_so_but_another_worker_can() {
        let (address, _first) = free();
        let _second = listen_at(address, Stance::Beside).unwrap();
        assert_eq!(listen_at(address, Stance::Alone).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        listen_at(address, Stance::Beside).unwrap();
    }

    #[test]
    fn of_several_that_begin_at_the_same_moment_one_listens() {
        for _ in 0..50 {
            let (address, listener) = free();
            drop(listener);
            let gate = Barrier::new(4);
            let begin = || {
                gate.wait();
                let first = listen_at(address, Stance::Alone);
                first.and_then(|first| Ok((first, listen_at(address, Stance::Beside)?)))
            };
            let listeners = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(listeners.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{listeners:?}");
        }
    }

    #[test]
    fn who_is_turned_away_is_neither_refused_nor_accepted_and_who_is_connected_stays_so() {
        let (address, listener) = free();
        let mut early = TcpStream::connect(address).unwrap();
        turn_away(SockRef::from(&listener)).unwrap();
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut accepted, _) = listener.accept().unwrap();
        drop(listener);
        early.write_all(b"x").unwrap();
        accepted.read_exact(&mut [0]).unwrap();
    }

    /// A client that is connected as far as it knows, while the last segment of its handshake has not arrived.
    fn half_way() -> (TcpStream, std::net::TcpListener) {
        let (address, listener) = free();
        let only_the_first = [
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(AND, 0, 0, SYN),
            SockFilter::new(RETURN_A, 0, 0, 0),
        ];
        SockRef::from(&listener).attach_filter(&only_the_first).unwrap();
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        (client, listener)
    }

    const RETURN_A: u16 = 0x16;

    #[test]
    fn a_handshake_that_has_begun_ends_well_only_if_the_listener_is_left_open_for_it() {
        let (mut client, listener) = half_way();
        turn_away(SockRef::from(&listener)).unwrap();
        client.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let (mut accepted, _) = listener.accept().unwrap();
        drop(listener);
        accepted.read_exact(&mut [0]).unwrap();

        let (mut client, listener) = half_way();
        drop(listener);
        client.write_all(b"x").unwrap();
        assert!(client.read_exact(&mut [0]).is_err(), "closed at once, it is reset");
    }

    #[test]
    fn who_was_turned_away_finds_the_listener_that_is_left() {
        let (address, leaving) = free();
        let staying = listen_at(address, Stance::Beside).unwrap();
        turn_away(SockRef::from(&leaving)).unwrap();
        let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(move || TcpStream::connect(address))).collect();
        std::thread::sleep(Duration::from_millis(300));
        drop(leaving);
        for client in clients {
            client.join().unwrap().unwrap();
        }
        staying.set_nonblocking(true).unwrap();
        assert_eq!((0..20).filter(|_| staying.accept().is_ok()).count(), 8);
    }
}
