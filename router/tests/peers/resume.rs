//! A framed link whose connection is lost goes on on another one: nothing that was on it is done twice, or lost.

use std::time::Duration;

use pdw_router::{End, Input, LinkKey, LossReason, Peers, Profile, SessionKey, Setup};

use crate::rig::{Node, Tree, setup};

const INCR: &str = "INCR n\r\n";

/// The same tree of another profile.
fn tree(profile: Profile) -> Tree {
    let mut tree = Tree::before(Setup { profile, ..setup("spine", 1, None) });
    let leaf = setup("leaf", 9, Some(Peers { count: 1, links: 1 }));
    tree.leaf = Node::new(Setup { profile, ..leaf }, tree.leaf.now);
    tree.accepted = tree.spine.router.open_session(tree.spine.now);
    tree.link = tree.leaf.links[0];
    tree.leaf.tell(Input::LinkConnected(tree.link));
    tree.pass();
    tree
}

/// Both ends lose the connection, with all that is on its way; the leaf's next link.
fn cut(tree: &mut Tree) -> LinkKey {
    tree.leaf.tell(Input::LinkLost(tree.link, LossReason::Failed));
    tree.spine.tell(Input::SessionLost(tree.accepted));
    next_link(tree)
}

fn next_link(tree: &mut Tree) -> LinkKey {
    tree.leaf.wait(Duration::from_millis(100));
    *tree.leaf.links.last().unwrap()
}

/// The leaf has a connection again.
fn connect(tree: &mut Tree, link: LinkKey) {
    tree.link = link;
    tree.accepted = tree.spine.router.open_session(tree.spine.now);
    tree.leaf.tell(Input::LinkConnected(link));
    tree.pass();
}

#[test]
fn a_request_that_was_done_while_its_link_was_lost_has_its_reply_and_is_not_sent_again() {
    for profile in [Profile::Redis, Profile::Pdwfs] {
        let mut tree = tree(profile);
        let client = tree.client();
        tree.ask(client, INCR);
        tree.up();
        assert!(tree.sent().contains("INCR"));
        let link = cut(&mut tree);
        tree.answer(":1\r\n");
        connect(&mut tree, link);
        assert_eq!((tree.reply(client).as_str(), tree.sent().as_str()), (":1\r\n", ""));
        assert_eq!(tree.leaf.router.stats().links_resumed, 1);
        assert_eq!(tree.leaf.router.stats().repeats, [0, 0]);
        tree.ask(client, INCR);
        tree.pass();
        assert!(tree.sent().contains("INCR"), "the link goes on");
    }
}

#[test]
fn a_reply_that_was_written_to_the_lost_connection_is_written_again() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    tree.sent();
    tree.answer(":1\r\n");
    assert!(!tree.spine.take(End::Session(tree.accepted)).is_empty(), "it is on its way");
    let link = cut(&mut tree);
    connect(&mut tree, link);
    assert_eq!((tree.reply(client).as_str(), tree.sent().as_str()), (":1\r\n", ""));
}

#[test]
fn a_request_that_never_came_is_sent_again_wherever_the_connection_was_cut() {
    let mut whole = tree(Profile::Redis);
    let client = whole.client();
    whole.ask(client, INCR);
    let frames = whole.leaf.take(End::Link(whole.link)).len();
    for come in 0..frames {
        let mut tree = tree(Profile::Redis);
        let client = tree.client();
        tree.ask(client, INCR);
        let wire = tree.leaf.take(End::Link(tree.link));
        tree.say_up(&wire[..come]);
        let link = cut(&mut tree);
        connect(&mut tree, link);
        assert_eq!(tree.sent().matches("INCR").count(), 1, "cut after {come} bytes");
        tree.answer(":1\r\n");
        tree.pass();
        assert_eq!(tree.reply(client), ":1\r\n");
    }
}

#[test]
fn a_link_that_is_written_after_its_end_was_seen_is_kept() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    tree.sent();
    tree.answer(":1\r\n");
    let unwritten = tree.spine.router.session_output(tree.accepted).len();
    tree.spine.router.handle(tree.spine.now, Input::SessionEnded(tree.accepted));
    tree.spine.router.handle(tree.spine.now, Input::SessionWritten(tree.accepted, unwritten));
    let link = cut(&mut tree);
    connect(&mut tree, link);
    assert_eq!(tree.reply(client), ":1\r\n");
}

#[test]
fn a_spine_that_has_not_seen_the_end_gives_the_link_to_the_new_connection() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    tree.sent();
    let old = tree.accepted;
    tree.leaf.tell(Input::LinkLost(tree.link, LossReason::Failed));
    let link = next_link(&mut tree);
    connect(&mut tree, link);
    assert!(tree.spine.closed.contains(&End::Session(old)));
    tree.answer(":1\r\n");
    tree.pass();
    assert_eq!(tree.reply(client), ":1\r\n");
}

#[test]
fn a_link_that_another_process_does_not_know_is_lost_with_what_was_on_it() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.up();
    let link = cut(&mut tree);
    tree.spine = Node::new(setup("spine-again", 1, None), tree.spine.now);
    tree.instance = tree.spine.connect_instance();
    connect(&mut tree, link);
    assert!(tree.reply(client).contains("may or may not have been carried out"));
    let link = next_link(&mut tree);
    connect(&mut tree, link);
    tree.ask(client, INCR);
    tree.pass();
    assert!(tree.sent().contains("INCR"), "another link is there");
}

#[test]
fn a_link_that_would_hold_too_much_is_forgotten() {
    let mut tree = tree(Profile::Redis);
    let clients: Vec<SessionKey> = (0..20).map(|_| tree.client()).collect();
    for client in &clients {
        tree.ask(*client, "GET a\r\n");
    }
    tree.pass();
    tree.sent();
    let link = cut(&mut tree);
    assert_eq!(tree.spine.router.holding().severed, 1);
    for _ in &clients {
        tree.answer(&format!("$400\r\n{}\r\n", "x".repeat(400)));
        assert!(tree.spine.router.peaks().resume <= tree.spine.router.limits().resume_max);
    }
    let holding = tree.spine.router.holding();
    assert_eq!((holding.severed, holding.streams), (0, [0, 0]));
    connect(&mut tree, link);
    assert!(tree.reply(clients[0]).contains("may or may not have been carried out"));
}

#[test]
fn a_link_that_nobody_claims_is_forgotten_when_the_time_of_its_requests_is_over() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    cut(&mut tree);
    tree.spine.wait(tree.spine.router.limits().patience - Duration::from_secs(1));
    assert_eq!(tree.spine.router.holding().severed, 1);
    tree.spine.wait(Duration::from_secs(2));
    assert_eq!((tree.spine.router.holding().severed, tree.spine.router.holding().streams), (0, [0, 0]));
}

#[test]
fn a_link_that_has_nothing_for_the_other_end_is_forgotten_with_its_lease() {
    let mut tree = tree(Profile::Redis);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    tree.sent();
    tree.answer(":1\r\n");
    tree.pass();
    cut(&mut tree);
    assert_eq!(tree.spine.router.holding().severed, 1);
    tree.spine.wait(4 * tree.spine.router.limits().probe_after);
    assert_eq!((tree.spine.router.holding().severed, tree.spine.router.holding().streams), (0, [0, 0]));
}

#[test]
fn a_connection_for_another_workers_link_is_handed_over() {
    let mut tree = tree(Profile::Redis);
    tree.spine.router.stand_among(0, 2);
    let mut other = Node::new(setup("spine", 1, None), tree.spine.now);
    other.router.stand_among(1, 2);
    let client = tree.client();
    tree.ask(client, INCR);
    tree.pass();
    tree.sent();
    let link = cut(&mut tree);
    tree.leaf.tell(Input::LinkConnected(link));
    let hello = tree.leaf.take(End::Link(link));
    let there = other.router.open_session(other.now);
    other.tell(Input::SessionBytes(there, &hello));
    assert_eq!(other.handed, [(there, 0)]);
    let handed = other.router.hand_over(there).unwrap();
    tree.accepted = tree.spine.router.take_over(tree.spine.now, handed);
    tree.link = link;
    tree.answer(":1\r\n");
    tree.pass();
    assert_eq!(tree.reply(client), ":1\r\n");
    assert_eq!(other.router.holding().sessions, 0);
}

#[test]
fn what_was_not_sent_goes_another_way_at_once() {
    let mut tree = Tree::new();
    let peers = Peers { count: 1, links: 2 };
    tree.leaf = Node::new(setup("leaf", 9, Some(peers)), tree.leaf.now);
    let links = tree.leaf.links.clone();
    let mut ends = Vec::new();
    for link in links {
        let accepted = tree.spine.router.open_session(tree.spine.now);
        (tree.link, tree.accepted) = (link, accepted);
        tree.leaf.tell(Input::LinkConnected(link));
        tree.pass();
        ends.push((link, accepted));
    }
    let clients = [tree.client(), tree.client()];
    for client in clients {
        tree.ask(client, INCR);
    }
    tree.leaf.tell(Input::LinkLost(ends[0].0, LossReason::Failed));
    (tree.link, tree.accepted) = ends[1];
    tree.pass();
    assert_eq!(tree.sent().matches("INCR").count(), 2);
}
