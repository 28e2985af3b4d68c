//! The worst proxy: one link for all, and everything is forwarded.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::reply::{Value, parse};

/// Serves on a free port until the test ends.
pub(super) fn start(upstream: &Address) -> io::Result<Address> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = Address::Tcp(listener.local_addr()?);
    let link = Connection::open_with(upstream, Duration::from_millis(200))?;
    let link = Arc::new(Mutex::new(link));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let link = Arc::clone(&link);
            std::thread::spawn(move || serve(client, &link));
        }
    });
    Ok(address)
}

fn serve(mut client: TcpStream, link: &Mutex<Connection>) -> io::Result<()> {
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        while let Some((request, length)) = parse(&input)? {
            input.drain(..length);
            let words: Vec<_> = request.elements().iter().map(Value::bytes).collect();
            let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
            link.send(&encode(&words))?;
            let reply = link.receive()?;
            client.write_all(&reply.raw)?;
        }
        match client.read(&mut chunk)? {
            0 => return Ok(()),
            read => input.extend_from_slice(&chunk[..read]),
        }
    }
}
