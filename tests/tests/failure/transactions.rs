//! Transactions whose link breaks: all of one is carried out or nothing, and their session goes on.

use std::io;

use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::fault::{End, Way};
use pdw_tests::reply::Reply;

use crate::scene::{LIMIT, Scene, UNKNOWN, assert_error};

/// Both keys of a transaction, as one piece.
fn transaction(value: &str) -> Vec<u8> {
    let lines: [&[&str]; 4] = [&["MULTI"], &["SADD", "{t}set", value], &["SET", "{t}value", value], &["EXEC"]];
    lines.iter().flat_map(|line| encode(line)).collect()
}

/// What the instance has of one: nothing, or all.
fn carried_out(direct: &mut Connection, value: &str) -> io::Result<bool> {
    let member = direct.demand(&["SISMEMBER", "{t}set", value])?.integer() == Some(1);
    let stored = direct.demand(&["GET", "{t}value"])?.text() == value;
    assert_eq!(member, stored, "a half of {value} was carried out");
    Ok(member)
}

fn until_back(session: &mut Connection) -> io::Result<()> {
    until("service", LIMIT, || session.demand(&["GET", "{t}value"]).map(drop))
}

/// Queues the connection's requests and breaks the link by `fault`; the replies.
fn broken(scene: &Scene, session: &mut Connection, value: &str, whole: bool) -> io::Result<Vec<Reply>> {
    let bytes = transaction(value);
    let cut = if whole { bytes.len() } else { bytes.len() / 2 };
    scene.faults[0].stall(Way::Back)?;
    scene.faults[0].cut_after(Way::Forth, cut as u64, End::Reset)?;
    session.send(&bytes)?;
    let replies = session.receive_many(4)?;
    scene.faults[0].heal()?;
    until_back(session)?;
    Ok(replies)
}

#[test]
fn a_transaction_whose_link_is_reset_is_carried_out_whole_or_not_at_all() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let (mut session, mut direct) = (scene.session()?, scene.instances[0].connect()?);
    for round in 0..6 {
        let (value, whole) = (format!("v{round}"), round % 2 == 0);
        let replies = broken(&scene, &mut session, &value, whole)?;
        assert_error(&replies[3].value, UNKNOWN);
        assert_eq!(carried_out(&mut direct, &value)?, whole, "{replies:?}");
        session.send(&transaction("afterwards"))?;
        let after = session.receive_many(4)?;
        assert_eq!(after[3].value.elements().len(), 2, "{after:?}");
    }
    Ok(())
}

#[test]
fn a_client_that_waits_at_every_command_meets_the_loss_at_exec_only() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let (mut session, mut direct) = (scene.session()?, scene.instances[0].connect()?);
    session.demand(&["MULTI"])?;
    session.demand(&["SADD", "{t}set", "v"])?;
    scene.faults[0].end(End::Reset)?;
    session.demand(&["SET", "{t}value", "v"])?;
    until_back(&mut scene.session()?)?;
    assert_eq!(session.demand(&["EXEC"])?.elements().len(), 2, "nothing of it had been sent");
    assert!(carried_out(&mut direct, "v")?);
    Ok(())
}
