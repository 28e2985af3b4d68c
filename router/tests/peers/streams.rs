//! Streams: order, time, credit, and whom they do not hold up.

use std::time::Duration;

use pdw_router::frame::{self, FrameFlags, StreamId};
use pdw_router::limits::Limits;
use pdw_router::{End, Input, LossReason, Peers, Profile, SessionKey, Setup};

use crate::rig::{Node, Tree, setup};

#[test]
fn requests_of_sessions_travel_on_streams_of_their_own_and_none_is_left_when_they_rest() {
    let mut tree = Tree::new();
    let (one, other) = (tree.client(), tree.client());
    tree.ask(one, "SET a 1\r\nGET a\r\n");
    tree.ask(other, "GET b\r\n");
    tree.pass();
    assert_eq!(tree.leaf.router.holding().streams, [2, 0]);
    assert_eq!(tree.spine.router.holding().streams, [0, 2]);
    assert_eq!(
        tree.sent(),
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
    );
    tree.answer("+OK\r\n$1\r\n1\r\n$-1\r\n");
    tree.pass();
    assert_eq!((tree.reply(one), tree.reply(other)), ("+OK\r\n$1\r\n1\r\n".to_owned(), "$-1\r\n".to_owned()));
    for _ in 0..4 {
        tree.wait(Duration::from_secs(1));
        tree.pass();
    }
    assert_eq!((tree.leaf.router.holding().streams, tree.spine.router.holding().streams), ([0, 0], [0, 0]));
}

#[test]
fn a_request_is_not_sent_on_after_the_first_proxy_has_given_it_up_however_long_it_took() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "SET a 1\r\n");
    let wire = tree.leaf.take(End::Link(tree.link));
    // 59 s on the wire; nobody's clock says so.
    tree.wait(Duration::from_secs(59));
    tree.say_up(&wire);
    tree.wait(Duration::from_secs(2));
    assert!(!tree.sent().contains("SET"), "two seconds later it is too late to be written");
    tree.pass();
    assert_eq!(
        tree.reply(client),
        "-ERR upstream was lost before it answered; the request may or may not have been carried out\r\n"
    );
}

/// A tree whose spine holds a client's request: its instance is gone.
fn held_at_the_spine() -> (Tree, SessionKey) {
    let spine = setup("spine", 1, None);
    let mut tree = Tree::before(Setup { profile: Profile::Pdwfs, ..spine });
    let client = tree.client();
    tree.spine.tell(Input::LinkLost(tree.instance, LossReason::Closed));
    tree.ask(client, "SET a 1\r\n");
    tree.up();
    (tree, client)
}

#[test]
fn the_next_level_gives_a_request_up_first_and_its_word_is_the_clients() {
    let (mut tree, client) = held_at_the_spine();
    // Nothing comes back before the client's patience is over, but in the last moment.
    tree.spine.wait(Duration::from_millis(59_600));
    tree.leaf.wait(Duration::from_millis(59_600));
    tree.pass();
    assert_eq!(tree.reply(client), "-ERR upstream is not available; the request was not sent\r\n");
}

#[test]
fn after_an_absence_the_next_level_is_heard_before_a_client_is_told_that_nobody_knows() {
    let (mut tree, client) = held_at_the_spine();
    // Both stand still, as when their machine does.
    let absence = Duration::from_secs(70);
    (tree.leaf.now, tree.spine.now) = (tree.leaf.now.after(absence), tree.spine.now.after(absence));
    tree.leaf.tell(Input::Timeout);
    assert_eq!(tree.reply(client), "");
    tree.spine.tell(Input::Timeout);
    tree.pass();
    assert_eq!(tree.reply(client), "-ERR upstream is not available; the request was not sent\r\n");
}

#[test]
fn an_instances_last_word_is_handed_on_and_not_tried_again() {
    let spine = setup("spine", 1, None);
    let mut tree = Tree::before(Setup { profile: Profile::Pdwfs, ..spine });
    tree.leaf = Node::new(
        Setup { profile: Profile::Pdwfs, ..setup("leaf", 9, Some(Peers { count: 1, links: 1 })) },
        tree.leaf.now,
    );
    tree.link = tree.leaf.links[0];
    tree.accepted = tree.spine.router.open_session(tree.spine.now);
    tree.leaf.tell(Input::LinkConnected(tree.link));
    tree.pass();
    let client = tree.client();
    tree.ask(client, "SET a 1\r\n");
    for _ in 0..800 {
        tree.up();
        if tree.sent().contains("SET") {
            tree.answer("-OOM no\r\n");
        }
        tree.down();
        tree.wait(Duration::from_millis(75));
    }
    assert_eq!(tree.reply(client), "-OOM no\r\n");
}

#[test]
fn a_transaction_whose_time_is_up_is_not_sent_in_parts() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "MULTI\r\nSET a 1\r\nEXEC\r\n");
    let wire = tree.leaf.take(End::Link(tree.link));
    tree.wait(Duration::from_secs(59));
    // In pieces, so that the spine has answered MULTI before EXEC has come.
    wire.chunks(9).for_each(|piece| tree.say_up(piece));
    tree.wait(Duration::from_secs(2));
    let sent = tree.sent();
    assert!(!sent.contains("MULTI") && !sent.contains("SET"), "{sent}");
}

#[test]
fn a_transaction_whose_time_is_up_is_not_sent_though_a_later_request_comes_with_its_end() {
    let mut tree = Tree::new();
    let until = |time: u64| Some(tree.spine.now.after(Duration::from_secs(time)).micros());
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    frame::write_data(&mut begin, StreamId(1), until(1), b"MULTI\r\nSET a 1\r\n");
    frame::write_data(&mut end, StreamId(1), until(60), b"EXEC\r\nGET b\r\n");
    tree.say_up(&begin);
    tree.wait(Duration::from_secs(2));
    tree.say_up(&end);
    let sent = tree.sent();
    assert!(!sent.contains("SET"), "{sent}");
}

#[test]
fn who_takes_nothing_is_sent_no_more_than_was_granted_and_others_go_on() {
    let mut tree = Tree::new();
    let (slow, quick) = (tree.client(), tree.client());
    tree.ask(slow, "GET big\r\n");
    tree.pass();
    tree.sent();
    tree.answer("$100000\r\n");
    for _ in 0..100 {
        if tree.spine.router.wants_link_bytes(tree.instance) {
            tree.answer(&"x".repeat(500));
        }
        tree.pass();
    }
    let held = [tree.leaf.router.holding().bytes(), tree.spine.router.holding().bytes()];
    assert!(held.iter().all(|bytes| *bytes < 20_000), "{held:?}");
    assert!(!tree.spine.router.wants_link_bytes(tree.instance), "the instance is not read");
    tree.ask(quick, "GET small\r\n");
    tree.pass();
    // The link with the value was retired; another one serves.
    tree.spine.connect_instance();
    let fresh = *tree.spine.links.last().unwrap();
    assert_eq!(tree.spine.text(End::Link(fresh)), "*2\r\n$3\r\nGET\r\n$5\r\nsmall\r\n");
    tree.spine.tell(Input::LinkBytes(fresh, b"$1\r\ny\r\n"));
    tree.pass();
    assert_eq!(tree.reply(quick), "$1\r\ny\r\n");
    let mut got = 0;
    for _ in 0..1_000 {
        got += tree.reply(slow).len();
        tree.pass();
        if tree.spine.router.wants_link_bytes(tree.instance) && got < 100_000 {
            tree.answer(&"x".repeat(500));
        }
    }
    assert!(got > 90_000, "{got}: when it takes, it gets");
}

#[test]
fn more_than_was_granted_ends_the_link() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "GET a\r\n");
    tree.pass();
    let mut wire = Vec::new();
    // A transaction is held, and taken; what waits behind a stopped session is not.
    (0..3).for_each(|_| frame::write_data(&mut wire, StreamId(2), None, &[b'x'; 900]));
    frame::write(&mut wire, StreamId(3), FrameFlags::empty(), &[b'y'; 1_001]);
    tree.say_up(&wire);
    assert_eq!(tree.spine.closed, [End::Session(tree.accepted)]);
    let told = |text: &String| text.starts_with("a link of proxy leaf is closed: ");
    assert!(tree.spine.notices.iter().any(told), "{:?}", tree.spine.notices);
}

#[test]
fn a_large_request_passes_through_and_is_not_held() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$50000\r\n");
    let (mut sent, mut arrived) = (0, 0);
    for _ in 0..2_000 {
        if sent < 50_000 && tree.leaf.router.wants_bytes(client) {
            let piece = "x".repeat((50_000 - sent).min(500));
            sent += piece.len();
            tree.ask(client, &piece);
        }
        tree.pass();
        if tree.spine.links.len() == 2 && arrived == 0 {
            tree.spine.connect_instance();
        }
        let lane = *tree.spine.links.last().unwrap();
        arrived += tree.spine.take(End::Link(lane)).iter().filter(|byte| **byte == b'x').count();
        let held = tree.spine.router.holding().bytes() + tree.leaf.router.holding().bytes();
        assert!(held < 20_000, "{held}");
    }
    assert_eq!((sent, arrived), (50_000, 50_000));
    tree.ask(client, "\r\n");
    tree.pass();
    let lane = *tree.spine.links.last().unwrap();
    tree.spine.take(End::Link(lane));
    tree.spine.tell(Input::LinkBytes(lane, b"+OK\r\n"));
    tree.pass();
    assert_eq!(tree.reply(client), "+OK\r\n");
}

#[test]
fn a_client_that_leaves_inside_a_large_request_closes_its_stream_and_the_lane() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$50000\r\nxxx");
    tree.pass();
    let lane = tree.spine.connect_instance();
    tree.pass();
    assert!(tree.spine.text(End::Link(lane)).ends_with("xxx"));
    tree.leaf.tell(Input::SessionLost(client));
    tree.pass();
    assert_eq!(tree.spine.closed, [End::Link(lane)], "so that the instance discards what it has");
    assert_eq!((tree.leaf.router.holding().streams, tree.spine.router.holding().streams), ([0, 0], [0, 0]));
}

#[test]
fn a_peer_that_says_nothing_is_left_by_what_was_not_sent() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "GET a\r\n");
    tree.up();
    tree.leaf.wait(Duration::from_millis(1_100));
    assert!(!tree.leaf.router.readiness().any(|ready| ready), "it did not answer PING");
    tree.spine.wait(Duration::from_millis(1_100));
    tree.pass();
    assert!(tree.leaf.router.readiness().all(|ready| ready), "it does");
    tree.sent();
    tree.answer("$1\r\nx\r\n");
    tree.pass();
    assert_eq!(tree.reply(client), "$1\r\nx\r\n");
}

#[test]
fn what_waited_for_room_is_not_sent_when_the_lease_is_over_either() {
    let narrow = setup("spine", 1, None);
    let mut tree = Tree::before(Setup { limits: Limits { link_output_max: 1, ..narrow.limits.clone() }, ..narrow });
    for key in ["a", "b"] {
        let client = tree.client();
        tree.ask(client, &format!("SET {key} old\r\n"));
    }
    tree.up();
    // The spine stands still for longer than a lease.
    tree.spine.now = tree.spine.now.after(Duration::from_secs(10));
    assert_eq!(tree.sent(), "", "the first makes room for the second");
}
