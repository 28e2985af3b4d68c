//! What is sealed is opened.

use std::num::NonZeroU16;

use pdw_auth::noise::{self, RECORD, REKEY_RECORDS};
use pdw_auth::spiped::{PACKET, Strength};
use pdw_auth::{Role, SealError, Sealed};

use crate::ends::{End, Setup, connected, every_kind, known, noise, open, sealed, secret, spiped, talk};

#[test]
fn a_handshake_succeeds_however_its_bytes_are_cut() {
    for (name, opener, accepter) in every_kind() {
        for step in [1, 31, 33, 287, 1000] {
            let ends = talk(opener.begin(Role::Opens, 11), accepter.begin(Role::Accepts, 22), step);
            assert!(ends.iter().all(|end| end.inbox.is_empty()), "{name}");
            let [mut opener, mut accepter] = ends.map(End::sealed);
            there_and_back(&mut *opener, &mut *accepter, b"hello", name);
        }
    }
}

fn there_and_back(opener: &mut dyn Sealed, accepter: &mut dyn Sealed, data: &[u8], name: &str) {
    arrives(opener, accepter, data, name);
    arrives(accepter, opener, data, name);
}

fn arrives(from: &mut dyn Sealed, to: &mut dyn Sealed, data: &[u8], name: &str) {
    let wire = sealed(from, &[data]).concat();
    let (plain, opened) = open(to, &wire);
    assert_eq!(opened, Ok((wire.len(), false)), "{name}");
    assert!(plain == data, "{name}, {} bytes", data.len());
}

#[test]
fn any_amount_travels() {
    let data: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
    for (name, opener, accepter) in every_kind() {
        let [mut opener, mut accepter] = connected(&opener, &accepter);
        for size in [0, 1, 2, 1023, 1024, 1025, 4096, 16_363, 16_364, 16_365, 65_535, 65_536, data.len()] {
            there_and_back(&mut *opener, &mut *accepter, &data[..size], name);
        }
    }
}

#[test]
fn what_is_not_whole_waits() {
    for (name, opener, accepter) in every_kind() {
        let [mut opener, mut accepter] = connected(&opener, &accepter);
        let packets = sealed(&mut *opener, &[b"one", b"two"]);
        let wire = packets.concat();
        for cut in 0..packets[0].len() {
            assert_eq!(open(&mut *accepter, &wire[..cut]), (vec![], Ok((0, false))), "{name}, {cut}");
        }
        let (first, rest) = wire.split_at(packets[0].len());
        assert_eq!(open(&mut *accepter, &[first, &rest[..5]].concat()), (b"one".to_vec(), Ok((first.len(), false))));
        assert_eq!(open(&mut *accepter, rest).0, b"two", "{name}");
    }
}

#[test]
fn sizes_on_the_wire_are_those_that_are_promised() {
    let size = |setup: &Setup, data: usize| {
        let [mut opener, _] = connected(setup, setup);
        sealed(&mut *opener, &[&vec![0; data]]).concat().len()
    };
    let of_spiped = spiped(Strength::Weak, secret(7));
    assert_eq!([1, 1024, 1025, 65_536].map(|data| size(&of_spiped, data)), [PACKET, PACKET, 2 * PACKET, 64 * PACKET]);
    let of_noise = Setup::Noise(noise(secret(7)));
    assert_eq!([1, 1000, 16_364, 16_365].map(|data| size(&of_noise, data)), [21, 1020, RECORD, RECORD + 21]);
}

#[test]
fn padding_hides_sizes() {
    let padded = |step| Setup::Noise(noise::Settings { pad_to: NonZeroU16::new(step), ..noise(secret(7)) });
    let size = |step, data: usize| {
        let [mut opener, _] = connected(&padded(step), &padded(step));
        sealed(&mut *opener, &[&vec![0; data]]).concat().len()
    };
    assert_eq!([1, 2, 500, 998].map(|data| size(1000, data)), [1018; 4]);
    assert_eq!([999, 1998].map(|data| size(1000, data)), [2018; 2]);
    // As far as a record goes.
    assert_eq!([16_000, 16_364].map(|data| size(1000, data)), [RECORD; 2]);
    assert_eq!([1, 16_364].map(|data| size(u16::MAX, data)), [RECORD; 2]);
    let [mut opener, _] = connected(&padded(1000), &padded(1000));
    let mut wire = Vec::new();
    opener.close(&mut wire).unwrap();
    assert_eq!(wire.len(), 1018, "the end looks as data does");
}

#[test]
fn keys_are_replaced_at_both_ends() {
    let setup = Setup::Noise(noise(secret(7)));
    let [mut opener, mut accepter] = connected(&setup, &setup);
    for number in 0..2 * REKEY_RECORDS + 10 {
        let mut wire = Vec::new();
        opener.seal(&number.to_be_bytes(), &mut wire).unwrap();
        assert_eq!(open(&mut *accepter, &wire), (number.to_be_bytes().to_vec(), Ok((wire.len(), false))), "{number}");
    }
}

#[test]
fn the_end_is_told_by_noise_and_by_nobody_else() {
    for (name, opener, accepter) in every_kind() {
        let [mut opener, mut accepter] = connected(&opener, &accepter);
        let mut wire = sealed(&mut *opener, &[b"last"]).concat();
        let told = wire.len();
        assert_eq!(accepter.ended(&wire[..told - 1]), Err(SealError::Cut), "{name}: in the middle of something");
        opener.close(&mut wire).unwrap();
        let says_so = wire.len() > told;
        assert_eq!(says_so, name.starts_with("noise"));
        assert_eq!(
            accepter.ended(&[]),
            if says_so { Err(SealError::Cut) } else { Ok(()) },
            "{name}: before it was told"
        );
        assert_eq!(open(&mut *accepter, &wire), (b"last".to_vec(), Ok((wire.len(), says_so))), "{name}");
        assert_eq!(accepter.ended(&[]), Ok(()), "{name}");
        assert_eq!(accepter.ended(b"x"), Err(SealError::Cut), "{name}");
    }
}

#[test]
fn nothing_follows_the_end() {
    let setup = known(1, &[1]);
    let [mut opener, mut accepter] = connected(&setup, &setup);
    let mut wire = Vec::new();
    opener.close(&mut wire).unwrap();
    let end = wire.len();
    opener.close(&mut wire).unwrap();
    assert_eq!(wire.len(), end, "it is said once");
    assert!(matches!(opener.seal(b"x", &mut wire), Err(SealError::Broken(_))));
    assert_eq!(open(&mut *accepter, &wire), (vec![], Ok((end, true))));
    assert_eq!(open(&mut *accepter, &[]), (vec![], Ok((0, true))));
    assert!(matches!(open(&mut *accepter, b"x").1, Err(SealError::Protocol(_))));
    // The other direction goes on.
    let answer = sealed(&mut *accepter, &[b"answer"]).concat();
    assert_eq!(open(&mut *opener, &answer).0, b"answer");
}
