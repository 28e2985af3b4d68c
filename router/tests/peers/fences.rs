//! Fences between proxies: whose links are closed, what is waited for, and who confirms.

use std::time::Duration;

use pdw_router::frame::{self, StreamId};
use pdw_router::{End, FenceCall, Input, LossReason, Peers, Profile, SessionKey, Setup};

use crate::rig::{Node, Tree, setup};

/// An instance's connections, none of which is a proxy's.
const STRANGERS: &[u8] = b"$28\r\nid=3 addr=10.0.0.1:5 name=x\n\r\n";
const OTHER: &str = "pdw/other";
const CALL: FenceCall = FenceCall { worker: 1, number: 7 };

/// A second proxy before the spine, which has asked for a write; the spine's end of its link.
fn second_leaf(tree: &mut Tree) -> SessionKey {
    let mut other = Node::new(setup("other", 9, Some(Peers { count: 1, links: 1 })), tree.leaf.now);
    let accepted = tree.spine.router.open_session(tree.spine.now);
    let link = other.links[0];
    other.tell(Input::LinkConnected(link));
    let client = other.router.open_session(other.now);
    other.tell(Input::SessionBytes(client, b"SET a old\r\n"));
    for _ in 0..5 {
        let up = other.take(End::Link(link));
        tree.spine.tell(Input::SessionBytes(accepted, &up));
        let down = tree.spine.take(End::Session(accepted));
        other.tell(Input::LinkBytes(link, &down));
    }
    assert_eq!(tree.spine.router.holding().streams, [0, 1]);
    accepted
}

/// The first leaf asks the spine for a fence of the second; the spine asks its instance.
fn fence_the_second(tree: &mut Tree) {
    let mut fence = Vec::new();
    frame::write_data(&mut fence, StreamId(1), None, b"*2\r\n$9\r\nPDW.FENCE\r\n$9\r\npdw/other\r\n");
    tree.say_up(&fence);
    let control = tree.spine.connect_instance();
    assert!(tree.spine.text(End::Link(control)).contains("LIST"));
    tree.spine.tell(Input::LinkBytes(control, STRANGERS));
}

fn said(tree: &mut Tree) -> String {
    tree.spine.text(End::Session(tree.accepted))
}

#[test]
fn what_a_proxy_below_has_asked_for_is_not_sent_once_it_is_fenced_off() {
    let mut tree = Tree::new();
    let accepted = second_leaf(&mut tree);
    fence_the_second(&mut tree);
    assert!(said(&mut tree).contains("+OK"), "it is fenced off");
    let sent = tree.sent();
    assert!(!sent.contains("SET"), "{sent}");
    assert_eq!(tree.spine.closed, [End::Session(accepted)]);
}

#[test]
fn an_instance_with_very_many_connections_lists_them_all() {
    let mut tree = Tree::new();
    let mut fence = Vec::new();
    frame::write_data(&mut fence, StreamId(1), None, b"*2\r\n$9\r\nPDW.FENCE\r\n$9\r\npdw/other\r\n");
    tree.say_up(&fence);
    let control = tree.spine.connect_instance();
    tree.spine.text(End::Link(control));
    let strangers: String = (0..20_000).map(|id| format!("id={id} addr=10.0.0.1:{id} name=x\n")).collect();
    let list = format!("{strangers}id=20000 addr=10.0.0.2:6 name={OTHER}\n");
    let reply = format!("${}\r\n{list}\r\n", list.len());
    for piece in reply.as_bytes().chunks(64 << 10) {
        tree.spine.tell(Input::LinkBytes(control, piece));
    }
    let killed = tree.spine.text(End::Link(control));
    assert!(killed.contains("KILL") && killed.contains("20000"), "{killed:?}");
    assert!(!said(&mut tree).contains("OK"));
    tree.spine.tell(Input::LinkBytes(control, b":1\r\n"));
    assert!(said(&mut tree).contains("+OK"));
}

#[test]
fn a_fence_stands_when_every_worker_has_put_it_up() {
    for confirmed in [true, false] {
        let mut tree = Tree::new();
        tree.spine.router.stand_among(0, 3);
        fence_the_second(&mut tree);
        let [(number, name)] = &tree.spine.called[..] else { panic!("{:?}", tree.spine.called) };
        assert_eq!(name, OTHER);
        let number = *number;
        tree.spine.tell(Input::FenceAnswered(number, true));
        assert!(!said(&mut tree).contains("OK"), "the third has said nothing");
        tree.spine.tell(Input::FenceAnswered(number, confirmed));
        let said = said(&mut tree);
        assert!(said.contains(if confirmed { "+OK" } else { "-ERR not everything" }), "{said:?}");
    }
}

#[test]
fn for_another_worker_a_proxy_is_fenced_off_and_what_it_has_on_its_way_is_waited_for() {
    let mut tree = Tree::new();
    let accepted = second_leaf(&mut tree);
    assert!(tree.sent().contains("SET"));
    tree.spine.tell(Input::FenceWanted(CALL, OTHER));
    assert_eq!((&tree.spine.closed[..], &tree.spine.answered[..]), (&[End::Session(accepted)][..], &[][..]));
    tree.answer("+OK\r\n");
    tree.spine.wait(Duration::from_millis(10));
    assert_eq!(tree.spine.answered, [(CALL, true)]);
}

#[test]
fn a_fence_is_passed_on_to_the_next_level_and_stands_when_it_does_there() {
    let mut tree = Tree::new();
    let accepted = second_leaf(&mut tree);
    let below = tree.leaf.router.open_session(tree.leaf.now);
    let hello = b"PDW.HELLO 4 node=below incarnation=pdw/below stream=1000 link=4000\r\n";
    tree.leaf.tell(Input::SessionBytes(below, hello));
    assert!(tree.leaf.text(End::Session(below)).contains("placement="));
    let mut fence = Vec::new();
    frame::write_data(&mut fence, StreamId(1), None, b"*2\r\n$9\r\nPDW.FENCE\r\n$9\r\npdw/other\r\n");
    tree.leaf.tell(Input::SessionBytes(below, &fence));
    tree.pass();
    assert_eq!(tree.spine.closed, [End::Session(accepted)]);
    assert!(!tree.leaf.text(End::Session(below)).contains("+OK"), "the instance has not said anything");
    let control = tree.spine.connect_instance();
    tree.spine.text(End::Link(control));
    tree.spine.tell(Input::LinkBytes(control, STRANGERS));
    tree.pass();
    assert!(tree.leaf.text(End::Session(below)).contains("+OK"));
}

#[test]
fn what_came_by_a_link_that_its_proxy_has_given_up_is_waited_for_though_it_stands() {
    let mut tree = Tree::new();
    second_leaf(&mut tree);
    assert!(tree.sent().contains("SET"));
    // Nothing renews its lease any more.
    tree.spine.now = tree.spine.now.after(Duration::from_secs(10));
    tree.spine.tell(Input::FenceWanted(CALL, "pdw/spine"));
    assert_eq!(tree.spine.answered, []);
    tree.answer("+OK\r\n");
    tree.spine.wait(Duration::from_millis(10));
    assert_eq!(tree.spine.answered, [(CALL, true)]);
}

#[test]
fn what_was_on_a_link_to_an_instance_that_is_lost_is_waited_for_until_that_is_fenced_off() {
    let mut tree = Tree::new();
    second_leaf(&mut tree);
    assert!(tree.sent().contains("SET"));
    tree.spine.tell(Input::LinkLost(tree.instance, LossReason::Closed));
    tree.spine.tell(Input::FenceWanted(CALL, OTHER));
    assert_eq!(tree.spine.answered, []);
    tree.spine.wait(Duration::from_secs(1));
    tree.instance = tree.spine.connect_instance();
    assert!(tree.sent().contains("KILL"));
    tree.answer(":1\r\n");
    tree.spine.wait(Duration::from_millis(10));
    assert_eq!(tree.spine.answered, [(CALL, true)]);
}

/// A leaf that keeps what it sends, before a spine of the same kind, whose links cannot be resumed.
fn keeping() -> Tree {
    let mut spine = Setup { profile: Profile::Pdwfs, ..setup("spine", 1, None) };
    spine.limits.resume_max = 0;
    let mut tree = Tree::before(spine);
    let leaf = setup("leaf", 9, Some(Peers { count: 1, links: 1 }));
    tree.leaf = Node::new(Setup { profile: Profile::Pdwfs, ..leaf }, tree.leaf.now);
    meet_anew(&mut tree);
    tree
}

/// The leaf's newest link is there.
fn meet_anew(tree: &mut Tree) {
    tree.link = *tree.leaf.links.last().unwrap();
    tree.accepted = tree.spine.router.open_session(tree.spine.now);
    tree.leaf.tell(Input::LinkConnected(tree.link));
    tree.pass();
}

#[test]
fn a_fence_is_refused_when_an_instance_will_not_close_what_was_lost() {
    let mut tree = Tree::new();
    second_leaf(&mut tree);
    assert!(tree.sent().contains("SET"));
    tree.spine.tell(Input::LinkLost(tree.instance, LossReason::Closed));
    tree.spine.tell(Input::FenceWanted(CALL, OTHER));
    tree.spine.wait(Duration::from_secs(1));
    tree.instance = tree.spine.connect_instance();
    assert!(tree.sent().contains("KILL"));
    tree.answer("-NOPERM no\r\n");
    tree.spine.wait(Duration::from_millis(10));
    assert_eq!(tree.spine.answered, [(CALL, false)], "what was lost may still be carried out");
}

#[test]
fn a_fence_that_cannot_be_had_from_the_next_level_is_refused_and_not_waited_for() {
    let mut tree = keeping();
    let client = tree.client();
    tree.ask(client, "SET a 1\r\n");
    tree.up();
    assert!(tree.sent().contains("SET"));
    tree.leaf.tell(Input::LinkLost(tree.link, LossReason::Closed));
    tree.spine.tell(Input::SessionLost(tree.accepted));
    tree.wait(Duration::from_secs(1));
    meet_anew(&mut tree);
    // What was on the lost link is to be fenced off first, and the next level will not do that.
    tree.leaf.tell(Input::FenceWanted(CALL, OTHER));
    assert_eq!(tree.leaf.answered, []);
    let asked = (0..100).any(|_| {
        tree.wait(Duration::from_millis(100));
        let wire = tree.leaf.take(End::Link(tree.link));
        let asks = wire.windows(9).any(|word| word == b"PDW.FENCE");
        if !asks {
            tree.say_up(&wire);
            tree.down();
        }
        asks
    });
    assert!(asked);
    let mut no = Vec::new();
    frame::write_data(&mut no, StreamId(1), None, b"-ERR not everything can be fenced off\r\n");
    tree.leaf.tell(Input::LinkBytes(tree.link, &no));
    assert_eq!(tree.leaf.answered, [(CALL, false)], "whoever asked would wait as long as it is refused");
    assert_eq!(tree.reply(client), "", "its own request goes on waiting");
}

#[test]
fn a_transaction_that_was_lost_and_is_aborted_when_it_is_repeated_may_have_been_carried_out() {
    let mut tree = keeping();
    let client = tree.client();
    tree.ask(client, "MULTI\r\nSET a 1\r\nEXEC\r\n");
    tree.up();
    assert!(tree.sent().contains("EXEC"));
    tree.answer("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    tree.leaf.tell(Input::LinkLost(tree.link, LossReason::Closed));
    tree.spine.tell(Input::SessionLost(tree.accepted));
    tree.wait(Duration::from_secs(1));
    meet_anew(&mut tree);
    let mut repeated = false;
    for _ in 0..900 {
        // In pieces, so that the spine has answered MULTI before EXEC has come.
        let wire = tree.leaf.take(End::Link(tree.link));
        wire.chunks(9).for_each(|piece| tree.say_up(piece));
        if tree.sent().contains("EXEC") {
            repeated = true;
            tree.answer("+OK\r\n-OOM no\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
        }
        tree.down();
        tree.wait(Duration::from_millis(75));
    }
    assert!(repeated, "it was not sent again behind the fence");
    let reply = tree.reply(client);
    assert!(reply.contains("may or may not have been carried out"), "{reply}");
}
