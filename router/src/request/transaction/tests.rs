//! Transactions, held and live, without any link.

use crate::limits::Limits;
use crate::rig::unconnected;
use crate::{Input, Time};

fn queued(command: &str) -> String {
    let mut router = unconnected(3, Limits::default());
    let session = router.open_session(Time::default());
    let text = format!("MULTI\r\n{command}\r\n");
    router.handle(Time::default(), Input::SessionBytes(session, text.as_bytes()));
    String::from_utf8_lossy(router.session_output(session)).into_owned()
}

#[test]
fn a_doomed_transaction_never_begins_however_long_it_gets() {
    let mut router = unconnected(1, Limits { multi_max: 1000, ..Limits::default() });
    let session = router.open_session(Time::default());
    let text = format!("MULTI\r\nGET\r\n{}EXEC\r\n", format!("APPEND k {}\r\n", "x".repeat(600)).repeat(4));
    router.handle(Time::default(), Input::SessionBytes(session, text.as_bytes()));
    let replies = String::from_utf8_lossy(router.session_output(session)).into_owned();
    let end = format!("{}-EXECABORT Transaction discarded because of previous errors.\r\n", "+QUEUED\r\n".repeat(4));
    assert!(replies.ends_with(&end), "{replies}");
    assert_eq!(router.holding().in_flight, 0);
}

#[test]
fn the_probe_of_a_proxy_in_front_is_queued_though_there_are_several_shards() {
    assert_eq!(queued("PING"), "+OK\r\n+QUEUED\r\n");
    assert!(queued("DBSIZE").starts_with("+OK\r\n-CROSSSLOT"));
}
