//! Sockets, and a few blocking commands to prepare an instance.

use crate::workload::{Workload, encode};
use crate::{Error, Result, interrupt};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a peer may take to start, and an instance to answer one command.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens with the longest backlog that a burst of connections of a benchmark needs.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| Error::Socket { doing: "listen on", address, source })
}

/// Connects, from the given source address if there is one; the socket is without Nagle delay and non-blocking.
pub fn connect(address: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream> {
    let open = || -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&address.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| Error::Socket { doing: "connect to", address, source })
}

/// A port of the loopback address that nobody uses now.
pub fn free_address() -> Result<SocketAddr> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let failed = |source| Error::Socket { doing: "find a free port of", address: any, source };
    TcpListener::bind(any).and_then(|listener| listener.local_addr()).map_err(failed)
}

/// One command, and as much of its reply as one read gives; for replies of a few bytes.
pub fn command(address: SocketAddr, words: &[&str]) -> Result<String> {
    let mut stream = blocking(address)?;
    let ask = |stream: &mut TcpStream| -> io::Result<String> {
        stream.write_all(encode(words).as_bytes())?;
        let mut reply = [0; 512];
        let size = stream.read(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..size]).into_owned())
    };
    ask(&mut stream).map_err(|source| Error::Socket { doing: "ask a command of", address, source })
}

fn blocking(address: SocketAddr) -> Result<TcpStream> {
    let stream = connect(address, None)?;
    let prepare = || stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
    prepare().map_err(|source| Error::Socket { doing: "prepare a connection to", address, source })?;
    Ok(stream)
}

/// Sets the keys that [`crate::workload::Op::Get`] will ask for, with the workload of SETs that goes with it.
pub fn fill(address: SocketAddr, sets: &Workload, keys: u64) -> Result<()> {
    let (step, mut stream) = (&sets.steps[0], blocking(address)?);
    let mut write = || -> io::Result<()> {
        let (mut request, mut reply) = (Vec::new(), vec![0; step.reply.len()]);
        for number in 0..keys {
            request.clear();
            step.append(number, &mut request);
            stream.write_all(&request)?;
            stream.read_exact(&mut reply)?;
            if reply != step.reply {
                return Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned()));
            }
        }
        Ok(())
    };
    write().map_err(|source| Error::Socket { doing: "set the keys at", address, source })
}

/// Waits until `ready` holds, or says no after the patience.
pub fn wait_until(mut ready: impl FnMut() -> bool) -> Result<bool> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        interrupt::check()?;
        if ready() {
            return Ok(true);
        }
        sleep(Duration::from_millis(20));
    }
    Ok(false)
}
