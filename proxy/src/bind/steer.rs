//! Steering new connections to the newest of several listeners on one port.
//!
//! The kernel keeps the listeners of a port (`SO_REUSEPORT`) in the order in which they came and asks a program
//! which of them shall have a new connection (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)). If the program names a place
//! that nobody has, as ours does once the elder ones are closed, the kernel spreads by its own hash again.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// How many sockets listen on exactly this address, of whatever process (proc(5), `/proc/net/tcp`).
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn listening(address: SocketAddr) -> io::Result<usize> {
    let file = if address.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let local = hexadecimal(address);
    let sockets = std::fs::read_to_string(file)?;
    let is_listener = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next() == Some(&local) && fields.nth(1) == Some(LISTEN)
    };
    Ok(sockets.lines().skip(1).filter(is_listener).count())
}

/// An address as `/proc/net/tcp` writes it: words of the network's order, printed as numbers of this machine.
fn hexadecimal(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut text = String::new();
    for word in bytes.chunks_exact(4) {
        let number = word.try_into().map_or(0, u32::from_ne_bytes);
        // Writing to a String cannot fail.
        let _ = write!(text, "{number:08X}");
    }
    let _ = write!(text, ":{:04X}", address.port());
    text
}

// Instructions of classic BPF (linux/filter.h), and where it finds a random number.
const LOAD_WORD: u16 = 0x20;
const RANDOM: u32 = 0xffff_f000 + 56;
const MODULO: u16 = 0x94;
const ADD: u16 = 0x04;
const RETURN_A: u16 = 0x16;

/// Has new connections go to those `count` listeners of a port that came after `elder` others, at random;
/// `listener` is any of them.
///
/// # Errors
/// The kernel has no such option, or `count` is 0.
pub(crate) fn to_newest(listener: &impl AsFd, elder: usize, count: usize) -> io::Result<()> {
    let number = |count: usize| u32::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let instruction = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        instruction(LOAD_WORD, RANDOM),
        instruction(MODULO, number(count)?),
        instruction(ADD, number(elder)?),
        instruction(RETURN_A, 0),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    setsockopt(listener, sockopt::AttachReusePortCbpf, &program).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::bind::{Stance, listen};

    fn accepted(listener: &TcpListener) -> usize {
        std::iter::from_fn(|| listener.accept().ok()).count()
    }

    fn group(address: SocketAddr, count: usize) -> Vec<TcpListener> {
        (0..count).map(|_| listen(address, Stance::Beside, |_| Ok(())).unwrap()).collect()
    }

    #[test]
    fn the_newest_get_all_connections_as_long_as_the_elder_are_there_and_all_share_afterwards() {
        for any in [SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], 0))] {
            let first = listen(any, Stance::Alone, |_| Ok(())).unwrap();
            let address = first.local_addr().unwrap();
            let elder: Vec<_> = std::iter::once(first).chain(group(address, 2)).collect();
            assert_eq!(listening(address).unwrap(), 3);
            let newest = group(address, 2);
            to_newest(&newest[0], 3, 2).unwrap();
            let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
            let shares: Vec<usize> = newest.iter().map(accepted).collect();
            assert_eq!(elder.iter().map(accepted).sum::<usize>(), 0);
            assert!(shares.iter().sum::<usize>() == 64 && shares.iter().all(|share| *share > 0), "{shares:?}");
            drop((elder, clients));
            let _clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
            let shares: Vec<usize> = newest.iter().map(accepted).collect();
            assert!(shares.iter().sum::<usize>() == 64 && shares.iter().all(|share| *share > 0), "{shares:?}");
        }
    }
}
