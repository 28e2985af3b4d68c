//! Many clients of one framed link with large values that cannot move on: who has little to say is heard.

use std::time::Duration;

use pdw_router::{End, SessionKey};

use crate::rig::{Tree, setup};

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
