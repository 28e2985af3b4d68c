use super::*;
use crate::net::free_address;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

/// An instance for one connection: reads `sizes` bytes at a time, in turn, and answers each with the reply beside it.
fn instance(script: Vec<(usize, &'static str)>) -> SocketAddr {
    let listener = TcpListener::bind(free_address().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        for (size, reply) in script {
            socket.read_exact(&mut vec![0; size]).unwrap();
            socket.write_all(reply.as_bytes()).unwrap();
        }
        let _ = socket.read(&mut [0]);
    });
    address
}

fn options(destination: SocketAddr, op: Op, pipeline: usize) -> Options {
    Options {
        destinations: vec![destination],
        sources: Vec::new(),
        connections: 1,
        pipeline,
        op,
        value_size: 3,
        prefix: "key:".to_owned(),
        keys: 10,
        seconds: 1.0,
        requests: None,
        core: None,
        json: false,
    }
}

fn set_size() -> usize {
    crate::workload::Workload::new(Op::Set, 3, 10).steps[0].request_size()
}

fn run_requests(options: &Options, requests: u64) -> Outcome {
    let until = Until { elapsed: Duration::from_secs(5), requests };
    Load::connect(options).unwrap().run(until).unwrap()
}

#[test]
fn a_run_ends_after_its_requests_with_every_reply_counted() {
    let address =
        instance(vec![(4 * set_size(), "+OK\r\n+OK\r\n+O"), (0, "K\r\n+OK\r\n"), (2 * set_size(), "+OK\r\n+OK\r\n")]);
    let outcome = run_requests(&options(address, Op::Set, 4), 6).checked().unwrap();
    assert_eq!((outcome.requests, outcome.latency.len()), (6, 6));
}

#[test]
fn a_wrong_reply_fails_the_run_and_names_itself() {
    let address = instance(vec![(set_size(), "+OK\r\n"), (set_size(), "-ERR not now\r\n")]);
    let failure = run_requests(&options(address, Op::Set, 1), 5).checked().unwrap_err().to_string();
    assert!(failure.starts_with("1 of 2 requests failed") && failure.contains("-ERR not now"), "{failure}");
}

#[test]
fn a_reply_too_many_fails_the_run() {
    let address = instance(vec![(set_size(), "+OK\r\n+OK\r\n")]);
    assert_eq!(run_requests(&options(address, Op::Set, 1), 1).errors, 1);
}

#[test]
fn a_lost_connection_fails_this_run_and_the_next() {
    let address = instance(vec![]);
    let mut load = Load::connect(&options(address, Op::Set, 1)).unwrap();
    let until = Until { elapsed: Duration::from_millis(10), requests: 1 };
    assert!(load.run(until).unwrap().checked().is_err());
    assert!(load.run(until).unwrap().checked().unwrap_err().to_string().contains("earlier run"));
}

#[test]
fn the_null_proxy_gives_each_client_its_own_replies() {
    let (listen, upstream) = (
        free_address().unwrap(),
        instance(vec![(8 * set_size(), "+OK\r\n+OK\r\n+OK\r\n"), (0, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n")]),
    );
    let size = |bytes: usize| std::num::NonZeroUsize::new(bytes).unwrap();
    let proxy = crate::null_proxy::Options { listen, upstream, request_size: size(set_size()), reply_size: size(5) };
    thread::spawn(move || crate::null_proxy::run(&proxy));
    assert!(crate::net::wait_until(|| crate::net::connect(listen, None).is_ok()).unwrap());
    let outcome = run_requests(&Options { connections: 2, ..options(listen, Op::Set, 4) }, 8).checked().unwrap();
    assert_eq!(outcome.requests, 8);
}
