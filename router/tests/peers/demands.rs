//! A proxy below that opens streams and does not do its part with them: it is left before it has cost much.

use pdw_router::frame::{self, FrameFlags, StreamId};
use pdw_router::limits::Limits;
use pdw_router::{End, Input, SessionKey, Setup, Time};

use crate::rig::{Node, setup};

/// More streams than sessions are allowed here, and than may wait beyond them.
const STREAMS: u32 = 20_000;

/// A proxy of which another one has made a framed link, and grants so many bytes on it.
fn met(grant: u64) -> (Node, SessionKey) {
    let limits = Limits { sessions_max: 100, ..setup("spine", 1, None).limits };
    let mut spine = Node::new(Setup { limits, ..setup("spine", 1, None) }, Time::from_micros(1));
    spine.connect_instance();
    let below = spine.router.open_session(spine.now);
    let hello = format!("PDW.HELLO 4 node=leaf incarnation=pdw/leaf stream={grant} link={grant}\r\n");
    spine.tell(Input::SessionBytes(below, hello.as_bytes()));
    assert!(spine.text(End::Session(below)).contains("node=spine"));
    (spine, below)
}

/// The other end opens streams, quits on each and `says` more of it, until the link is closed; how many that were. It
/// takes what it is told.
fn open_streams(spine: &mut Node, below: SessionKey, says: impl Fn(&mut Vec<u8>, StreamId)) -> u32 {
    for at in 1..=STREAMS {
        let mut frames = Vec::new();
        frame::write(&mut frames, StreamId(at), FrameFlags::empty(), b"QUIT\r\n");
        says(&mut frames, StreamId(at));
        spine.tell(Input::SessionBytes(below, &frames));
        spine.take(End::Session(below));
        if spine.closed.contains(&End::Session(below)) {
            return at;
        }
    }
    STREAMS
}

#[test]
fn who_gives_no_credit_for_answers_is_left_when_too_many_wait_for_it() {
    let (mut spine, below) = met(0);
    let opened = open_streams(&mut spine, below, |_, _| {});
    assert!((16_000..17_000).contains(&opened), "{opened}");
    assert!(spine.notices.iter().any(|text| text.contains("takes no answer")), "{:?}", spine.notices);
}

#[test]
fn who_does_not_close_its_streams_is_left_and_what_it_costs_until_then_is_counted() {
    let (mut spine, below) = met(1 << 40);
    let opened = open_streams(&mut spine, below, |_, _| {});
    assert!((16_000..17_000).contains(&opened), "{opened}");
    let (mut spine, below) = met(1 << 40);
    let before = spine.router.holding().bytes();
    for at in 1..10_000 {
        let mut frames = Vec::new();
        frame::write(&mut frames, StreamId(at), FrameFlags::empty(), b"QUIT\r\n");
        spine.tell(Input::SessionBytes(below, &frames));
        spine.take(End::Session(below));
    }
    assert!(spine.router.holding().bytes() > before + 100_000);
}

#[test]
fn who_closes_its_streams_may_open_as_many_as_it_likes() {
    let (mut spine, below) = met(1 << 40);
    let close = |frames: &mut Vec<u8>, id| frame::write(frames, id, FrameFlags::CLOSE, b"");
    assert_eq!(open_streams(&mut spine, below, close), STREAMS);
    assert!(!spine.closed.contains(&End::Session(below)));
}
