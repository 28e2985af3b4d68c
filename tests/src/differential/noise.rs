//! Other sessions on the same links: they change nothing, and know what they must get.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::address::Address;
use crate::connection::{Connection, encode};

/// Requests without effect, and their replies.
const EXCHANGES: &[(&[&str], &[u8])] = &[
    (&["GET", "{noise}none"], b"$-1\r\n"),
    (&["GET", "none:2"], b"$-1\r\n"),
    (&["MGET", "none:1", "none:2", "none:3", "none:4"], b"*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"),
    (&["DEL", "none:1", "none:2", "none:5"], b":0\r\n"),
    (&["LRANGE", "none:3", "0", "-1"], b"*0\r\n"),
    (&["ECHO", "noise"], b"$5\r\nnoise\r\n"),
    (&["INCR"], b"-ERR wrong number of arguments for 'incr' command\r\n"),
    (&["EVAL", "return {KEYS[1], 7}", "1", "none:9"], b"*2\r\n$6\r\nnone:9\r\n:7\r\n"),
    (&["MULTI"], b"+OK\r\n"),
    (&["GET", "none:7"], b"+QUEUED\r\n"),
    (&["STRLEN", "none:7"], b"+QUEUED\r\n"),
    (&["EXEC"], b"*2\r\n$-1\r\n:0\r\n"),
];

/// Sessions that talk until this is dropped or asked.
#[derive(Debug)]
pub struct Noise {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Noise {
    /// Starts `sessions` of them.
    pub fn start(address: &Address, sessions: usize) -> Noise {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..sessions).map(|_| {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            std::thread::spawn(move || talk(&address, &stop))
        });
        Noise { threads: threads.collect(), stop }
    }

    /// Stops them.
    ///
    /// # Errors
    /// When one got something else than it must.
    pub fn finish(mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = |thread: JoinHandle<io::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a noisy session panicked")))
        };
        self.threads.drain(..).try_for_each(ended)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn talk(address: &Address, stop: &AtomicBool) -> io::Result<()> {
    let mut session = Connection::open(address)?;
    let requests: Vec<u8> = EXCHANGES.iter().flat_map(|(words, _)| encode(words)).collect();
    while !stop.load(Ordering::Relaxed) {
        session.send(&requests)?;
        for (words, wanted) in EXCHANGES {
            let reply = session.receive()?;
            if reply.raw != *wanted {
                return Err(io::Error::other(format!("another session asked {words:?} and got {reply:?}")));
            }
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}
