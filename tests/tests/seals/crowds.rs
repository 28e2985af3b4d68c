//! Many who hold something on sealed listeners: what seals and handshakes keep counts under the ceiling on memory.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use pdw_tests::connection::{encode, until};

use crate::hostile::{HANDSHAKE, SLACK, closed};
use crate::house::House;
use crate::{LIMIT, noise};

#[test]
fn records_that_never_become_whole_count_under_memory_max_and_their_senders_give_way() {
    let mut house = House::new("limits.memory_max = \"64MiB\"");
    let mut witness = house.proxy.connect().unwrap();
    witness.demand(&["SET", "k", "v"]).unwrap();
    let before = house.proxy.guard().resident_kib().unwrap();
    // Each announces a record of 65,535 bytes, and sends all but a few of them.
    let record = [&[0xff, 0xff][..], &noise(2, 60_000)].concat();
    let mut held = Vec::new();
    for _ in 0..pdw_tests::full_or(4_000, 1_000) {
        // Near the ceiling no new ones are taken in.
        let Ok(stream) = house.open("noise") else { continue };
        let _ = stream.socket().write_all(&record);
        held.push(stream);
    }
    assert!(held.len() > 200, "{}", held.len());
    let grown = house.proxy.guard().resident_kib().unwrap().saturating_sub(before);
    let scrape = house.proxy.scrape().unwrap();
    let buffered = scrape.value("pdw_seal_buffer_bytes");
    assert!(buffered > f64::from(10 << 20), "{buffered} bytes are counted");
    assert!(scrape.value("pdw_limit_used{limit=\"memory_max\"}") >= buffered);
    assert!(grown < 64 << 10, "{grown} KiB for {} records", held.len());
    witness.demand(&["GET", "k"]).unwrap();
    drop(held);
    until("memory for new sessions", LIMIT, || house.open("noise").map(drop)).unwrap();
    assert!(house.proxy.guard().output().contains("limits.memory_max"), "those who were not let in are told of");
}

#[test]
fn replies_that_nobody_takes_are_counted_where_they_are_sealed_too() {
    let house = House::new("limits.session_output_max = \"256KiB\"");
    house.proxy.connect().unwrap().demand(&[&b"SET"[..], b"k", &noise(5, 100_000)]).unwrap();
    let asks: Vec<u8> = (0..200).flat_map(|_| encode(&["GET", "k"])).collect();
    let mut streams: Vec<_> = (0..10).map(|_| house.open("spiped").unwrap()).collect();
    streams.iter_mut().for_each(|stream| stream.send(&asks).unwrap());
    until("replies that wait", LIMIT, || {
        let held = house.proxy.scrape()?.value("pdw_seal_buffer_bytes");
        if held > 100_000.0 { Ok(()) } else { Err(std::io::Error::other(format!("{held}"))) }
    })
    .unwrap();
    for stream in &mut streams {
        assert_eq!(stream.receive_exactly(200 * 100_011).unwrap().len(), 200 * 100_011);
    }
    // What is empty has no memory.
    until("nothing is held", LIMIT, || {
        let held = house.proxy.scrape()?.value("pdw_seal_buffer_bytes");
        if held == 0.0 { Ok(()) } else { Err(std::io::Error::other(format!("{held}"))) }
    })
    .unwrap();
}

#[test]
fn a_crowd_in_the_middle_of_its_handshakes_is_closed_in_five_seconds_and_lets_others_in_meanwhile() {
    let many = pdw_tests::full_or(10_000, 1_500);
    let mut house = House::new(&format!("limits.handshakes_max = {}", many / 10));
    house.open("noise").unwrap();
    let before = house.proxy.guard().resident_kib().unwrap();
    let started = Instant::now();
    let words = house.first_words();
    let streams: Vec<TcpStream> = (0..many)
        .map(|n| {
            let (address, words) = &words[n % words.len()];
            let mut stream = TcpStream::connect(address.to_string()).unwrap();
            stream.set_read_timeout(Some(HANDSHAKE + SLACK)).unwrap();
            stream.write_all(words).unwrap();
            stream
        })
        .collect();
    let opened = started.elapsed();
    // Whoever behaves waits for his turn, and has it long before the last of them.
    let asked = Instant::now();
    let mut late = house.open("noise").unwrap();
    late.send(&encode(&["PING"])).unwrap();
    assert_eq!(late.receive().unwrap(), b"+PONG\r\n");
    assert!(asked.elapsed() < HANDSHAKE + SLACK, "{:?}", asked.elapsed());
    let grown = house.proxy.guard().resident_kib().unwrap().saturating_sub(before);
    println!("{many} in {opened:?}; {grown} KiB; another one is in after {:?}", asked.elapsed());
    assert!(grown < 24 << 10, "{grown} KiB for {many} clients");
    for mut stream in streams {
        closed(&mut stream);
    }
    assert!(started.elapsed() < opened + HANDSHAKE + SLACK, "{:?}", started.elapsed());
    let log = house.proxy.guard().output();
    assert!(log.contains("limits.handshakes_max") && log.matches("not sealed").count() < 10, "{log}");
    assert_eq!(house.proxy.scrape().unwrap().value("pdw_handshakes_in_progress"), 0.0);
}
