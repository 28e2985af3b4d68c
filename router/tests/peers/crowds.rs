//! Many clients of one framed link with large values that cannot move on: who has little to say is heard.

use std::time::Duration;

use pdw_router::frame::{self, FrameFlags, StreamId};
use pdw_router::{End, Input, LinkKey, SessionKey, Setup};

use crate::rig::{PROOF, Tree, setup};

/// Has clients send as much of a value of so many bytes as they may, in pieces.
fn send_values(tree: &mut Tree, crowd: &[SessionKey], (size, piece): (usize, usize)) {
    for client in crowd {
        tree.ask(*client, &format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${size}\r\n"));
    }
    for _ in 0..20 {
        for client in crowd {
            let open = !tree.leaf.closed.contains(&End::Session(*client));
            if open && tree.leaf.router.wants_bytes(*client) {
                tree.ask(*client, &"x".repeat(piece));
            }
        }
        tree.leaf.wait(Duration::from_millis(20));
        tree.pass();
    }
}

fn is_served(tree: &mut Tree, client: SessionKey) {
    tree.sent();
    tree.ask(client, "SET b c\r\n");
    tree.pass();
    assert_eq!(tree.sent(), "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nc\r\n");
    tree.answer("+OK\r\n");
    tree.pass();
    assert_eq!(tree.reply(client), "+OK\r\n");
}

#[test]
fn clients_whose_values_wait_for_a_lane_leave_credit_to_small_requests() {
    let mut tree = Tree::new();
    let (quick, crowd) = (tree.client(), [(); 9].map(|()| tree.client()));
    // More than a stream is granted each, and more than the link is all of them.
    send_values(&mut tree, &crowd, (50_000, 500));
    is_served(&mut tree, quick);
}

#[test]
fn clients_that_take_nothing_leave_credit_to_small_replies() {
    let mut tree = Tree::new();
    let (quick, crowd) = (tree.client(), [(); 9].map(|()| tree.client()));
    for client in crowd {
        tree.ask(client, "GET big\r\n");
        tree.pass();
        tree.sent();
        tree.answer("$100000\r\n");
        while tree.spine.router.wants_link_bytes(tree.instance) {
            tree.answer(&"x".repeat(500));
            tree.pass();
        }
        // A link with such a reply is retired.
        tree.instance = tree.spine.connect_instance();
    }
    is_served(&mut tree, quick);
}

#[test]
fn near_the_ceiling_little_waits_for_each_stream_and_at_it_the_newest_value_gives_way() {
    let mut limits = setup("leaf", 9, None).limits;
    (limits.memory_max, limits.stream_window, limits.peer_window) = (1 << 20, 64 << 10, 64 << 10);
    let mut tree = Tree::with(setup("spine", 1, None), limits);
    let (quick, crowd) = (tree.client(), [(); 40].map(|()| tree.client()));
    // Of a reply that its client has not taken yet there is little.
    tree.ask(quick, "GET b\r\n");
    tree.pass();
    tree.sent();
    tree.answer("$1\r\nc\r\n");
    tree.pass();
    let (first, second) = crowd.split_at(20);
    send_values(&mut tree, first, (90_000, 10_000));
    send_values(&mut tree, second, (90_000, 60_000));
    let (held, closed) = (tree.leaf.router.holding().bytes(), &tree.leaf.closed);
    assert!(held < 1 << 20, "{held}");
    let newest = |end: &End| matches!(end, End::Session(key) if second.contains(key));
    assert!(!closed.is_empty() && closed.iter().all(newest), "{closed:?}");
    assert_eq!(tree.reply(quick), "$1\r\nc\r\n");
}

/// Opens the lanes that the spine has asked for, and carries what comes on them to an instance that takes everything:
/// whole values are answered. How many were.
fn serve_lanes(tree: &mut Tree, lanes: &mut Vec<(LinkKey, usize)>, size: usize) -> usize {
    while let Some(key) = tree.spine.links.get(1 + lanes.len()).copied() {
        tree.spine.tell(Input::LinkConnected(key));
        tree.spine.take(End::Link(key));
        tree.spine.tell(Input::LinkBytes(key, PROOF));
        lanes.push((key, 0));
    }
    let mut answered = 0;
    for (lane, arrived) in lanes.iter_mut() {
        *arrived += tree.spine.take(End::Link(*lane)).iter().filter(|byte| **byte == b'x').count();
        if *arrived == size {
            (answered, *arrived) = (answered + 1, 0);
            tree.spine.tell(Input::LinkBytes(*lane, b"+OK\r\n"));
        }
    }
    answered
}

#[test]
fn whoever_has_a_lane_is_sent_on_though_many_wait_for_one() {
    const SIZE: usize = 5_000;
    let mut tree = Tree::new();
    let mut crowd = [(); 30].map(|()| (tree.client(), SIZE));
    for (client, _) in crowd {
        tree.ask(client, &format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${SIZE}\r\n"));
    }
    let (mut lanes, mut answered) = (Vec::new(), 0);
    // Nobody is given up meanwhile: no time passes.
    for _ in 0..2_000 {
        for (client, left) in &mut crowd {
            if *left > 0 && tree.leaf.router.wants_bytes(*client) {
                let piece = 500.min(*left);
                *left -= piece;
                tree.ask(*client, &("x".repeat(piece) + if *left == 0 { "\r\n" } else { "" }));
            }
        }
        tree.up();
        tree.down();
        answered += serve_lanes(&mut tree, &mut lanes, SIZE);
    }
    assert_eq!(answered, crowd.len());
    tree.pass();
    assert!(crowd.iter().all(|(client, _)| tree.reply(*client) == "+OK\r\n"));
}

#[test]
fn whoever_has_a_lane_may_send_as_much_as_if_nobody_waited() {
    let mut tree = Tree::new();
    let crowd = [(); 30].map(|()| tree.client());
    send_values(&mut tree, &crowd, (50_000, 500));
    let mut lanes = Vec::new();
    serve_lanes(&mut tree, &mut lanes, 50_000);
    tree.pass();
    serve_lanes(&mut tree, &mut lanes, 50_000);
    tree.pass();
    assert_eq!(lanes.len(), 2);
    let before: Vec<usize> = lanes.iter().map(|(_, arrived)| *arrived).collect();
    for client in crowd {
        if tree.leaf.router.wants_bytes(client) {
            tree.ask(client, &"x".repeat(900));
        }
    }
    tree.up();
    serve_lanes(&mut tree, &mut lanes, 50_000);
    let more: Vec<usize> = lanes.iter().zip(before).map(|((_, arrived), before)| arrived - before).collect();
    assert!(more.iter().all(|more| *more >= 900), "{more:?}");
}

#[test]
fn little_is_held_for_each_of_many_whose_values_have_no_lane() {
    let mut limits = setup("leaf", 9, None).limits;
    (limits.stream_window, limits.peer_window) = (64 << 10, 256 << 10);
    let spine = setup("spine", 1, None);
    let mut tree = Tree::with(Setup { limits: limits.clone(), ..spine }, limits);
    let crowd = [(); 30].map(|()| tree.client());
    send_values(&mut tree, &crowd, (1 << 20, 4 << 10));
    let held = [tree.leaf.router.holding().bytes(), tree.spine.router.holding().bytes()];
    // A sixteenth of a window, and what is read at once.
    assert!(held[0] < 30 * 3 * (4 << 10) && held[1] < (256 << 10) + 30 * 3 * (4 << 10), "{held:?}");
}

#[test]
fn a_proxy_between_others_hands_on_that_a_value_has_a_lane() {
    let mut tree = Tree::new();
    let below = tree.leaf.router.open_session(tree.leaf.now);
    let hello = b"PDW.HELLO 4 node=below incarnation=pdw/below stream=1000 link=4000\r\n";
    tree.leaf.tell(Input::SessionBytes(below, hello));
    tree.leaf.take(End::Session(below));
    let (mut value, mut lane) = (Vec::new(), Vec::new());
    frame::write_data(&mut value, StreamId(1), None, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5000\r\nxxx");
    frame::write(&mut lane, StreamId(1), FrameFlags::LANE, b"");
    tree.leaf.tell(Input::SessionBytes(below, &value));
    tree.pass();
    let told = |tree: &mut Tree| tree.leaf.take(End::Session(below)).windows(lane.len()).any(|part| part == lane);
    assert!(!told(&mut tree), "nobody has one yet");
    tree.spine.connect_instance();
    tree.pass();
    assert!(told(&mut tree));
}

#[test]
fn whoever_takes_large_replies_gets_them_though_many_take_none() {
    let mut tree = Tree::new();
    let (reader, crowd) = (tree.client(), [(); 30].map(|()| tree.client()));
    let mut got = 0;
    for client in crowd.into_iter().chain([reader]) {
        tree.ask(client, "GET big\r\n");
        tree.pass();
        tree.sent();
        tree.answer("$100000\r\n");
        let mut sent = 0;
        for _ in 0..4_000 {
            if sent < 100_000 && tree.spine.router.wants_link_bytes(tree.instance) {
                tree.answer(&"x".repeat(500));
                sent += 500;
            }
            tree.up();
            tree.down();
            got += tree.reply(reader).len();
        }
        tree.instance = tree.spine.connect_instance();
    }
    assert!(got > 99_000, "{got}");
}
