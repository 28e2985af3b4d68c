//! A framed link has as many streams as it may: one more is refused, and nothing else ends.

use std::time::Duration;

use pdw_router::frame::{self, StreamId};
use pdw_router::limits::Limits;
use pdw_router::{End, Input, Profile, SessionKey, Setup};

use crate::rig::{Tree, setup};

const TOLD: &str = "-TRYAGAIN limits.streams_max (2) of the next proxy is reached on this link; the request was not sent: try again, or raise that limit there\r\n";

/// A tree whose spine takes two streams from each link, and clients that keep both open.
fn full() -> (Tree, [SessionKey; 2]) {
    full_with(Profile::Redis)
}

fn full_with(profile: Profile) -> (Tree, [SessionKey; 2]) {
    let spine = setup("spine", 1, None);
    let limits = Limits { streams_max: 2, ..spine.limits.clone() };
    let mut tree = Tree::of(setup("leaf", 9, None).limits, profile, Setup { limits, ..spine });
    let busy = [(); 2].map(|()| tree.client());
    busy.iter().for_each(|client| tree.ask(*client, "GET a\r\n"));
    tree.pass();
    assert_eq!(tree.sent().matches("GET").count(), 2);
    (tree, busy)
}

/// The instance is so slow: each of these is a moment in which a byte of its first reply comes.
fn dribble(tree: &mut Tree, moments: usize) {
    tree.answer("$490\r\n");
    for _ in 0..moments {
        tree.pass();
        tree.wait(Duration::from_millis(200));
        tree.answer("x");
    }
}

/// The clients that had all the streams get their replies after so many moments, and leave.
fn leave(tree: &mut Tree, busy: [SessionKey; 2], moments: usize) {
    tree.answer(&format!("{}\r\n$-1\r\n", "x".repeat(490 - moments)));
    tree.pass();
    let replies = busy.map(|client| tree.reply(client).len());
    assert_eq!(replies, ["$490\r\n\r\n".len() + 490, "$-1\r\n".len()], "nobody else is disturbed");
    busy.iter().for_each(|client| tree.leaf.tell(Input::SessionLost(*client)));
    tree.pass();
}

#[test]
fn one_stream_more_than_there_may_be_is_refused_with_the_limits_name_and_served_when_there_is_room() {
    let (mut tree, busy) = full();
    let more = tree.client();
    tree.ask(more, "SET b 1\r\nGET b\r\nMULTI\r\nGET b\r\nEXEC\r\n");
    tree.pass();
    assert_eq!(tree.reply(more), [TOLD; 5].concat(), "all that was on it hears so, and not that nobody knows");
    assert_eq!((tree.sent(), tree.spine.router.holding().streams), (String::new(), [0, 2]));
    assert_eq!(tree.spine.router.peaks().streams, 2);
    assert!(tree.spine.closed.is_empty() && tree.leaf.closed.is_empty());
    dribble(&mut tree, 0);
    leave(&mut tree, busy, 0);
    tree.ask(more, "GET b\r\n");
    tree.pass();
    assert_eq!(tree.sent(), "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
}

#[test]
fn whoever_has_all_the_streams_it_may_leaves_room_to_another_link() {
    let (mut tree, _) = full();
    let other = tree.spine.router.open_session(tree.spine.now);
    let hello = b"PDW.HELLO 4 node=other incarnation=pdw/other stream=1000 link=4000\r\n";
    tree.spine.tell(Input::SessionBytes(other, hello));
    let mut wire = Vec::new();
    frame::write_data(&mut wire, StreamId(1), None, b"GET b\r\n");
    tree.spine.tell(Input::SessionBytes(other, &wire));
    assert_eq!(tree.sent(), "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
}

#[test]
fn under_pdwfs_a_refused_request_waits_for_room_and_nobody_is_told() {
    let (mut tree, busy) = full_with(Profile::Pdwfs);
    let more = tree.client();
    tree.ask(more, "SET b 1\r\n");
    dribble(&mut tree, 50);
    assert_eq!(tree.reply(more), "");
    leave(&mut tree, busy, 50);
    tree.wait(Duration::from_secs(1));
    tree.pass();
    assert!(tree.sent().ends_with("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n"));
    tree.answer("+OK\r\n");
    tree.pass();
    assert_eq!(tree.reply(more), "+OK\r\n");
}

#[test]
fn under_pdwfs_the_reason_is_told_when_the_patience_is_over() {
    let (mut tree, _) = full_with(Profile::Pdwfs);
    let more = tree.client();
    tree.ask(more, "SET b 1\r\n");
    dribble(&mut tree, 310);
    assert_eq!(tree.reply(more), TOLD);
}

#[test]
fn a_large_value_that_is_refused_is_skipped_and_its_client_told() {
    for profile in [Profile::Redis, Profile::Pdwfs] {
        let (mut tree, _) = full_with(profile);
        let more = tree.client();
        // Under `pdwfs` what is smaller is kept, and tried again.
        let mut left = 2_000_000;
        tree.ask(more, &format!("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n${left}\r\n"));
        while left > 0 {
            tree.pass();
            left -= left.min(std::mem::take(&mut tree.leaf.skipped));
            if left > 0 && tree.leaf.router.wants_bytes(more) {
                let piece = 500.min(left);
                tree.ask(more, &"x".repeat(piece));
                left -= piece;
            }
        }
        tree.ask(more, "\r\nPING\r\n");
        tree.pass();
        assert_eq!(tree.reply(more), [TOLD, "+PONG\r\n"].concat(), "{profile:?}");
    }
}

#[test]
fn whoever_opens_streams_without_end_and_closes_none_loses_its_link() {
    let (mut tree, _) = full();
    let mut number = 3;
    while tree.spine.closed.is_empty() {
        let mut wire = Vec::new();
        for _ in 0..2_000 {
            frame::write_data(&mut wire, StreamId(number), None, b"G");
            number += 1;
        }
        tree.say_up(&wire);
        tree.spine.take(End::Session(tree.accepted));
    }
    // As many as limits.sessions_max and 16,384 may wait to be closed.
    assert!((116_384..120_000).contains(&number), "{number}");
    assert!(tree.spine.notices.iter().any(|notice| notice.contains("takes no answer")));
}
