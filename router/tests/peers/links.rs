//! How two proxies meet, and who is refused.

use pdw_router::frame::{self, FrameFlags, StreamId};
use pdw_router::place::pdwfs_rules;
use pdw_router::{End, Input, Peers, Setup, Time};

use crate::rig::{Node, Tree, ruled_homes, setup};

const PEER: Option<Peers> = Some(Peers { count: 1, links: 1 });

/// What `peer` answers to the hello of `node`'s newest link, and what becomes of it.
fn meet(node: &mut Node, peer: &mut Node) -> String {
    let link = *node.links.last().unwrap();
    node.tell(Input::LinkConnected(link));
    let hello = node.take(End::Link(link));
    let session = peer.router.open_session(peer.now);
    peer.tell(Input::SessionBytes(session, &hello));
    let answer = peer.take(End::Session(session));
    node.tell(Input::LinkBytes(link, &answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn both_ends_name_each_other() {
    let tree = Tree::new();
    assert!(tree.leaf.notices.contains(&"upstream 0 is proxy spine".to_owned()), "{:?}", tree.leaf.notices);
    assert!(tree.spine.notices.contains(&"proxy leaf has made a link to this one (told once a minute)".to_owned()));
    assert_eq!(tree.spine.router.below(), [("leaf".to_owned(), 1)]);
    assert_eq!(tree.spine.router.holding().sessions, 0, "a framed link is no client");
    assert!(tree.leaf.router.readiness().all(|ready| ready));
}

#[test]
fn a_transaction_that_began_before_it_was_known_where_keys_live_goes_on() {
    let now = Time::from_micros(1);
    let node = |name, shards, peers| {
        let homes = ruled_homes(shards, pdwfs_rules(false));
        Node::new(Setup { homes, ..setup(name, shards, peers) }, now)
    };
    for stripe in 0..8 {
        let (mut leaf, mut spine) = (node("leaf", 1, PEER), node("spine", 4, None));
        let client = leaf.router.open_session(leaf.now);
        let begin = format!("MULTI\r\nSADD /m/f:stripes {stripe}\r\n");
        leaf.tell(Input::SessionBytes(client, begin.as_bytes()));
        assert!(meet(&mut leaf, &mut spine).contains("placement=slots"));
        leaf.tell(Input::SessionBytes(client, format!("SET /m/f:{stripe} x\r\n").as_bytes()));
        assert_eq!(leaf.text(End::Session(client)), "+OK\r\n+QUEUED\r\n+QUEUED\r\n", "stripe {stripe}");
    }
}

#[test]
fn a_circle_of_two_is_found_out_though_neither_can_serve_the_other() {
    let now = Time::from_micros(1);
    let (mut one, mut other) = (Node::new(setup("one", 1, PEER), now), Node::new(setup("other", 1, PEER), now));
    let answer = meet(&mut one, &mut other);
    assert!(answer.contains("node=other") && !answer.contains("placement="), "{answer}");
    assert!(one.notices.iter().any(|text| text.contains("does not know yet where keys live")), "{:?}", one.notices);
    meet(&mut other, &mut one);
    let told = |text: &String| text.contains("leads back to this proxy, by way of one, other");
    assert!(other.notices.iter().any(told), "{:?}", other.notices);
}

#[test]
fn a_circle_that_closes_later_is_told_by_a_note() {
    let now = Time::from_micros(1);
    let mut spine = Node::new(setup("spine", 2, None), now);
    let two = Some(Peers { count: 2, links: 1 });
    let (mut one, mut other) = (Node::new(setup("one", 1, two), now), Node::new(setup("other", 1, two), now));
    // Both know the spine; then `one` meets `other`, and `other` meets `one`.
    for node in [&mut one, &mut other] {
        let first = node.links.remove(0);
        node.links.push(first);
        meet(node, &mut spine);
        node.links.pop();
    }
    assert!(meet(&mut one, &mut other).contains("placement=slots"));
    meet(&mut other, &mut one);
    let told = |text: &String| text.contains("leads back to this proxy");
    assert!(other.notices.iter().any(told), "{:?}", other.notices);
    assert!(!one.notices.iter().any(told), "it is served by `other` for as long as that has the spine alone");
}

#[test]
fn peers_that_place_keys_otherwise_than_the_first_are_refused() {
    let now = Time::from_micros(1);
    let mut leaf = Node::new(setup("leaf", 1, Some(Peers { count: 2, links: 1 })), now);
    let (mut three, mut four) = (Node::new(setup("three", 3, None), now), Node::new(setup("four", 4, None), now));
    meet(&mut leaf, &mut three);
    leaf.links.remove(1);
    meet(&mut leaf, &mut four);
    let told = |text: &String| text.contains("it places keys otherwise than the other peers");
    assert!(leaf.notices.iter().any(told), "{:?}", leaf.notices);
    assert_eq!(leaf.router.readiness().collect::<Vec<_>>(), [false, true]);
}

#[test]
fn whoever_is_no_proxy_or_another_version_is_told_from_one_that_is_away() {
    for (answer, told) in [
        ("-ERR unknown command 'PDW.HELLO'\r\n", "use \"shards\" before instances"),
        ("-NOAUTH Authentication required.\r\n", "give the upstream `user` and `password_file`"),
        ("+OK\r\n", "does not answer PDW.HELLO as a pdw-proxy does"),
        ("*2\r\n$9\r\nPDW.HELLO\r\n$1\r\n2\r\n", "run the same version of pdw-proxy at both ends"),
        ("-ERR PDW.HELLO version '4' is not spoken here\r\n", "run the same version of pdw-proxy at both ends"),
    ] {
        let mut leaf = Node::new(setup("leaf", 1, PEER), Time::from_micros(1));
        let link = leaf.links[0];
        leaf.tell(Input::LinkConnected(link));
        leaf.take(End::Link(link));
        leaf.tell(Input::LinkBytes(link, answer.as_bytes()));
        assert!(leaf.notices.iter().any(|text| text.contains(told)), "{answer}: {:?}", leaf.notices);
        assert_eq!(leaf.closed, [End::Link(link)]);
    }
}

#[test]
fn a_proxy_that_ends_is_left_and_closes_when_nothing_is_left() {
    let mut tree = Tree::new();
    let client = tree.client();
    tree.ask(client, "GET a\r\n");
    tree.pass();
    tree.spine.tell(Input::Leaving);
    tree.pass();
    assert_eq!(tree.leaf.links.len(), 2, "a new link is asked for");
    assert!(tree.leaf.closed.is_empty(), "a request is unanswered");
    tree.sent();
    tree.answer("$1\r\nx\r\n");
    tree.pass();
    assert_eq!(tree.reply(client), "$1\r\nx\r\n");
    assert_eq!(tree.leaf.closed, [End::Link(tree.link)]);
    let fresh = tree.spine.router.open_session(tree.spine.now);
    let hello = "PDW.HELLO 4 node=x incarnation=y stream=100 link=100\r\n";
    tree.spine.tell(Input::SessionBytes(fresh, hello.as_bytes()));
    assert_eq!(tree.spine.text(End::Session(fresh)), "-ERR PDW.HELLO: it is about to end\r\n");
}

#[test]
fn who_asks_without_end_and_takes_no_answer_is_not_listened_to_any_more() {
    let mut tree = Tree::new();
    let mut pings = Vec::new();
    (0..2_000).for_each(|_| frame::write(&mut pings, StreamId(0), FrameFlags::NOTE, b"*1\r\n$4\r\nPING\r\n"));
    let accepted = End::Session(tree.accepted);
    let mut most = 0;
    for _ in 0..200 {
        tree.spine.tell(Input::SessionBytes(tree.accepted, &pings));
        most = most.max(tree.spine.router.holding().bytes());
    }
    assert!(tree.spine.closed.contains(&accepted));
    assert!(most < 8 << 20, "{most} bytes are held");
}
