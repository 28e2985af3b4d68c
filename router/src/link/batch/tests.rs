use super::*;

fn some(keeps: bool) -> Batch {
    let mut batch = Batch::new(keeps);
    for (id, text) in [b"aaaa", b"bbbb", b"cccc"].iter().enumerate() {
        let deadline = Time::from_micros(10 + id as u64);
        batch.append(id as u64, Target::Table(id as u64), deadline, |out| out.extend_from_slice(*text));
    }
    batch
}

fn texts(units: &[Unit]) -> Vec<Vec<u8>> {
    units.iter().map(|unit| unit.parts.iter().flat_map(|(_, bytes)| bytes.clone()).collect()).collect()
}

fn ids(units: &[Unit]) -> Vec<u64> {
    units.iter().flat_map(|unit| unit.parts.iter().map(|(part, _)| part.id)).collect()
}

#[test]
fn a_request_counts_as_sent_from_its_first_byte_on() {
    let mut batch = some(false);
    batch.wrote(5);
    let (sent, unsent) = batch.salvage();
    assert_eq!(ids(&sent), [0, 1]);
    assert_eq!(texts(&unsent), [b"cccc"]);
}

#[test]
fn what_is_past_its_deadline_is_not_sent() {
    let mut batch = some(false);
    batch.wrote(2);
    let late = Time::from_micros(11);
    assert_eq!(batch.expire(late), [(Target::Table(0), Fate::Unknown), (Target::Table(1), Fate::NotSent)]);
    assert_eq!(batch.expire(late), []);
    assert_eq!(batch.to_write(), b"aacccc");
    batch.wrote(6);
    assert_eq!(batch.take_answered().map(|part| part.target), Some(Target::Nobody));
    assert_eq!(batch.take_answered().map(|part| part.target), Some(Target::Table(2)));
    assert!(batch.take_answered().is_none());
}

#[test]
fn a_deadline_behind_later_ones_is_kept_too() {
    let mut batch = some(false);
    batch.append(3, Target::Table(3), Time::from_micros(1), |out| out.extend_from_slice(b"dddd"));
    assert_eq!(batch.expire(Time::from_micros(1)), [(Target::Table(3), Fate::NotSent)]);
    assert_eq!(batch.to_write(), b"aaaabbbbcccc");
    assert_eq!(batch.next_deadline(), Time::from_micros(10));
}

#[test]
fn a_transaction_is_sent_whole_or_not_at_all() {
    let mut batch = some(false);
    batch.unite(2);
    batch.wrote(5);
    let all = [0, 1, 2].map(|number| (Target::Table(number), Fate::Unknown));
    assert_eq!(batch.expire(Time::from_micros(20)), all);
    assert_eq!(batch.to_write(), b"bbbcccc");
    assert_eq!(ids(&batch.salvage().0).len(), 3);
}

#[test]
fn a_transaction_that_waits_for_the_next_link_stays_whole() {
    let mut lost = some(false);
    lost.unite(2);
    let mut next = Batch::new(false);
    lost.salvage().1.into_iter().for_each(|unit| next.adopt(unit));
    next.wrote(5);
    assert!(next.expire(Time::from_micros(12)).iter().all(|(_, fate)| *fate == Fate::Unknown));
    assert_eq!(next.to_write(), b"bbbcccc");
}

#[test]
fn what_was_sent_is_kept_until_it_is_answered() {
    let mut batch = some(true);
    batch.wrote(9);
    batch.take_answered();
    let (sent, unsent) = batch.salvage();
    assert_eq!((texts(&sent), texts(&unsent)), (vec![b"bbbb".to_vec(), b"cccc".to_vec()], vec![]));
    assert!(sent.iter().all(Unit::is_whole));
}

#[test]
fn replies_wait_for_the_last_one_of_their_transaction() {
    let mut batch = some(true);
    batch.unite(2);
    batch.wrote(12);
    assert!(!batch.wait_for_unit(b"+OK\r\n"));
    batch.take_answered();
    assert!(batch.wait_for_unit(b"+QUEUED\r\n"));
    assert_eq!(batch.front().map(|part| part.id), Some(2));
    assert!(!batch.wait_for_unit(b"-EXECABORT\r\n"));
    assert_eq!(texts(&[batch.take_unit()]), [b"bbbbcccc"]);
    assert_eq!(batch.in_flight(), 0);
}

#[test]
fn transactions_are_taken_out_and_the_rest_stays() {
    let mut batch = some(false);
    batch.unite(2);
    batch.append(3, Target::Nobody, Time::NEVER, |out| out.extend_from_slice(b"dddd"));
    assert_eq!(batch.take_transactions(), [(Target::Table(1), false), (Target::Table(2), false)]);
    assert_eq!((batch.take_transactions(), batch.to_write()), (vec![], &b"aaaadddd"[..]));
}

/// A request that the instance could not carry out, on its way to it again.
fn tried_again() -> Batch {
    let (mut first, mut again) = (some(true), Batch::new(true));
    first.wrote(12);
    again.adopt(Unit { said: vec![b"-OOM\r\n".to_vec()], ..first.take_unit() });
    again
}

#[test]
fn what_is_not_sent_again_gets_what_the_instance_said() {
    let said = [(Target::Table(0), Fate::Said(b"-OOM\r\n".to_vec()))];
    assert_eq!(tried_again().expire(Time::from_micros(10)), said);
    let mut next = Batch::new(true);
    tried_again().salvage().1.into_iter().for_each(|unit| next.adopt(unit));
    assert_eq!(next.expire(Time::from_micros(10)), said);
    assert_eq!(next.early_bytes(), 0);
}

#[test]
fn what_is_sent_again_is_unknown_whatever_the_instance_said_before() {
    let mut batch = tried_again();
    batch.wrote(1);
    assert_eq!(batch.expire(Time::from_micros(10)), [(Target::Table(0), Fate::Unknown)]);
    let mut lost = tried_again();
    lost.wrote(1);
    let sent = lost.salvage().0;
    assert!(sent[0].was_tried() && sent[0].said.is_empty());
}

#[test]
fn what_the_instance_said_is_forgotten_with_its_request() {
    let mut answered = tried_again();
    answered.wrote(4);
    answered.take_answered();
    assert_eq!(answered.early_bytes(), 0);
}

#[test]
fn no_reply_is_expected_to_a_request_that_was_not_sent() {
    assert!(some(false).take_answered().is_none());
}
