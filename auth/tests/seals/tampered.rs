//! What was not sent so is not opened, and ends the connection.

use pdw_auth::SealError;

use crate::ends::{connected, every_kind, open, sealed};

/// Runs `act` for each kind of connection with three packets of its opener, and hands it what opens them.
fn each_kind(act: impl Fn(&str, [Vec<u8>; 3], &mut dyn FnMut(&[u8]) -> (Vec<u8>, Result<(usize, bool), SealError>))) {
    for (name, opener, accepter) in every_kind() {
        let [mut opener, mut accepter] = connected(&opener, &accepter);
        let packets = sealed(&mut *opener, &[b"one", b"two", b"three"]).try_into().unwrap();
        act(name, packets, &mut |wire| open(&mut *accepter, wire));
    }
}

#[test]
fn one_bit_is_enough_wherever_it_is() {
    for (name, opener, accepter) in every_kind() {
        let size = sealed(&mut *connected(&opener, &accepter)[0], &[b"one"])[0].len();
        for at in (0..size).step_by(if size > 100 { 41 } else { 1 }).chain([size - 1]) {
            let [mut opener, mut accepter] = connected(&opener, &accepter);
            let mut packets = sealed(&mut *opener, &[b"one", &[7; 5000], b"two"]);
            packets[0][at] ^= 0x10;
            let (plain, opened) = open(&mut *accepter, &packets.concat());
            // A length that grew may ask for more than there is.
            let waits = opened == Ok((0, false)) && name.starts_with("noise") && at < 2;
            assert!(plain.is_empty() && (waits || opened == Err(SealError::Forged)), "{name}, byte {at}: {opened:?}");
        }
    }
}

#[test]
fn good_packets_before_a_bad_one_are_delivered_and_none_behind_it() {
    each_kind(|name, [one, two, three], open| {
        let mut forged = two.clone();
        forged[10] ^= 1;
        assert_eq!(open(&[one, forged, three.clone()].concat()), (b"one".to_vec(), Err(SealError::Forged)), "{name}");
        // The right packet comes too late.
        assert_eq!(open(&[two, three].concat()), (vec![], Err(SealError::Forged)), "{name}");
    });
}

#[test]
fn a_packet_is_opened_once_and_in_its_place() {
    each_kind(|name, [one, two, _], open| {
        assert_eq!(open(&two), (vec![], Err(SealError::Forged)), "{name}: reordered");
        assert_eq!(open(&one), (vec![], Err(SealError::Forged)), "{name}: put right too late");
    });
    each_kind(|name, [one, _, _], open| {
        assert_eq!(open(&[one.clone(), one].concat()), (b"one".to_vec(), Err(SealError::Forged)), "{name}: repeated");
    });
    each_kind(|name, [one, _, three], open| {
        assert_eq!(open(&[one, three].concat()), (b"one".to_vec(), Err(SealError::Forged)), "{name}: left out");
    });
}

#[test]
fn bytes_that_are_missing_or_too_many_are_noticed() {
    each_kind(|name, [mut one, two, three], open| {
        one.remove(20);
        assert_eq!(open(&[one, two, three].concat()), (vec![], Err(SealError::Forged)), "{name}: missing");
    });
    each_kind(|name, [one, two, three], open| {
        let (plain, opened) = open(&[one, vec![0; 30], two, three].concat());
        assert_eq!((plain, opened), (b"one".to_vec(), Err(SealError::Forged)), "{name}: too many");
    });
}

#[test]
fn an_end_does_not_take_its_own_packets_for_the_far_end_s() {
    for (name, opener, accepter) in every_kind() {
        let [mut opener, _] = connected(&opener, &accepter);
        let wire = sealed(&mut *opener, &[b"one"]).concat();
        assert_eq!(open(&mut *opener, &wire), (vec![], Err(SealError::Forged)), "{name}");
    }
}

#[test]
fn packets_of_another_connection_are_not_opened() {
    for (name, opener, accepter) in every_kind() {
        let [mut other, _] = connected(&opener, &accepter);
        let wire = sealed(&mut *other, &[b"one"]).concat();
        let ends = crate::ends::talk(
            opener.begin(pdw_auth::Role::Opens, 33),
            accepter.begin(pdw_auth::Role::Accepts, 44),
            usize::MAX,
        );
        let [_, accepter] = ends;
        assert_eq!(open(&mut *accepter.sealed(), &wire), (vec![], Err(SealError::Forged)), "{name}");
    }
}
