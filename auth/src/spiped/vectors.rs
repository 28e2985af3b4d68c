//! The vectors of `auth/tests/vectors/spiped-vectors.json`, byte for byte.

use serde_json::Value;
use std::sync::Arc;

use super::packet::{Direction, Link};
use super::{PACKET, Pair, Pairs, Settings, Strength, begin, group};
use crate::{Advanced, Handshake, Keys, Progress, Role, SealError, Sealed, Secret};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/spiped-vectors.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The bytes whose hexadecimal digits the entry has.
fn bytes(entry: &Value) -> Vec<u8> {
    let digits = entry.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(entry: &Value) -> [u8; N] {
    bytes(entry).try_into().unwrap()
}

/// The one pair of a vector; a weak end has none.
#[derive(Debug)]
struct Given(Option<[u8; 32]>);

impl Pairs for Given {
    fn take(&self) -> Option<Pair> {
        self.0.as_ref().map(Pair::new)
    }
}

/// Names of the two ends in the vectors, by role.
const ENDS: [(Role, &str, &str); 2] = [(Role::Opens, "client", "C"), (Role::Accepts, "server", "S")];

/// One end of a vector's handshake, which has sent and taken nothing yet.
fn end(vector: &Value, role: Role, strength: Strength) -> Box<dyn Handshake> {
    let (_, _, letter) = ENDS.into_iter().find(|(of, ..)| *of == role).unwrap();
    let secret = &vector[format!("priv_{letter}")];
    let pair = Given(secret.is_string().then(|| array(secret)));
    let keys = Keys::from(Secret::from_file(&bytes(&vector["key_file"]), 0o600).unwrap());
    begin(role, Arc::new(Settings { keys, strength }), Arc::new(pair), array(&vector[format!("nonce_{letter}")]))
}

fn strength_of(vector: &Value, end: &str) -> Strength {
    if vector[format!("{end}_weak")] == true { Strength::Weak } else { Strength::Strong }
}

/// Advances with `wire`, doing all work, until bytes are missing or the end is sealed.
fn advance(mut end: Box<dyn Handshake>, mut wire: &[u8], out: &mut Vec<u8>) -> Result<Progress, SealError> {
    loop {
        let Advanced { consumed, progress } = end.advance(wire, out)?;
        wire = &wire[consumed..];
        match progress {
            Progress::Work(work) => end = work.run(),
            progress => return Ok(progress),
        }
    }
}

fn sent(vector: &Value, end: &str) -> Vec<u8> {
    let sent = &vector[format!("{end}_sends")];
    [bytes(&sent["1_nonce"]), bytes(&sent["2_yh"])].concat()
}

#[test]
fn every_handshake_and_its_packets() {
    let vectors = vectors();
    assert_eq!(list(&vectors["handshakes"]).len(), 6);
    for vector in list(&vectors["handshakes"]) {
        for ((role, near, _), (_, far, _)) in ENDS.into_iter().zip(ENDS.into_iter().rev()) {
            let mut out = Vec::new();
            let shaking = end(vector, role, strength_of(vector, near));
            let done = advance(shaking, &sent(vector, far), &mut out).unwrap();
            let Progress::Done(mut sealed) = done else { panic!("{done:?}") };
            assert_eq!(out, sent(vector, near), "{near} of {}", vector["name"]);
            check_packets(&mut *sealed, vector, near, far);
        }
    }
}

fn check_packets(sealed: &mut dyn Sealed, vector: &Value, near: &str, far: &str) {
    for packet in list(&vector[format!("{near}_packets")]) {
        let mut wire = Vec::new();
        sealed.seal(&bytes(&packet["plaintext"]), &mut wire).unwrap();
        assert_eq!(wire, bytes(&packet["packet"]), "{near}, packet {}", packet["number"]);
    }
    for packet in list(&vector[format!("{far}_packets")]) {
        let mut plain = Vec::new();
        assert_eq!(sealed.open(&mut bytes(&packet["packet"]), &mut plain).unwrap().consumed, PACKET);
        assert_eq!(plain, bytes(&packet["plaintext"]), "{far}, packet {}", packet["number"]);
    }
}

#[test]
fn the_numbers_of_every_handshake() {
    for vector in list(&vectors()["handshakes"]) {
        for (letter, other) in [("C", "S"), ("S", "C")] {
            let Value::String(_) = vector[format!("priv_{letter}")] else { continue };
            let pair = Pair::new(&array(&vector[format!("priv_{letter}")]));
            assert_eq!(pair.number()[..], bytes(&vector[format!("y_{letter}")]));
            assert_eq!(pair.agree(&array(&vector[format!("y_{other}")]))[..], bytes(&vector["y_SC"]));
        }
    }
}

/// What a server with the given strength says to a half that a client with the key has signed.
fn verdict(half: &[u8], strength: Strength) -> Result<(), SealError> {
    let vectors = vectors();
    let vector = &vectors["handshakes"][0];
    assert_eq!(vector["dhmac_C"], vectors["dh_validation"]["dhmac"], "they are not of one handshake");
    let wire = [&bytes(&vector["nonce_C"]), half].concat();
    advance(end(vector, Role::Accepts, strength), &wire, &mut Vec::new())
        .map(|done| assert!(matches!(done, Progress::Done(_))))
}

#[test]
fn every_number_that_a_far_end_may_send() {
    let vectors = vectors();
    let cases = list(&vectors["dh_validation"]["cases"]);
    assert_eq!(cases.len(), 8);
    for case in cases {
        let (name, half) = (case["case"].as_str().unwrap(), bytes(&case["yh"]));
        assert_eq!(verdict(&half, Strength::Strong).is_ok(), case["accept"] == true, "{name}");
        // Stricter than the daemon, which takes numbers that no honest end sends.
        let accept = case["accept_with_g"] == true && !["y=0", "y=p-1"].contains(&name);
        assert_eq!(verdict(&half, Strength::Strict).is_ok(), accept, "{name}, strict");
    }
}

#[test]
fn refusals_of_numbers_tell_why() {
    let vectors = vectors();
    let half = |name: &str| {
        let case = list(&vectors["dh_validation"]["cases"]).iter().find(|case| case["case"] == name).unwrap();
        bytes(&case["yh"])
    };
    for weak in ["y=0", "y=1", "y=p-1"] {
        assert!(matches!(verdict(&half(weak), Strength::Strict), Err(SealError::Refused(_))), "{weak}");
    }
    assert!(matches!(verdict(&half("y=p"), Strength::Strong), Err(SealError::Protocol(_))));
    let reflected = "MACed with the other side's dhmac key (reflection)";
    assert_eq!(verdict(&half(reflected), Strength::Strong), Err(SealError::Key));
    assert!(group::is_in_group(&group::ONE) && group::is_degenerate(&group::ONE));
}

#[test]
fn packets_of_any_number() {
    let vectors = vectors();
    let [e, h] = ["E", "H"].map(|name| array(&vectors["packet_numbers"][name]));
    for packet in list(&vectors["packet_numbers"]["packets"]) {
        let number = packet["number"].as_u64().unwrap();
        let mut link = Link::new((Direction::at(number, &e, &h), Direction::at(number, &e, &h)));
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        link.seal(&bytes(&packet["plaintext"]), &mut wire).unwrap();
        assert_eq!(wire, bytes(&packet["packet"]), "{number}");
        link.open(&mut wire, &mut plain).unwrap();
        assert_eq!(plain, bytes(&packet["plaintext"]), "{number}");
    }
}

#[test]
fn packets_that_are_accepted_or_not() {
    let vectors = vectors();
    let [e, h] = ["E", "H"].map(|name| array(&vectors["reject"][name]));
    assert_eq!(list(&vectors["reject"]["cases"]).len(), 9);
    for case in list(&vectors["reject"]["cases"]) {
        let mut link = Link::new((Direction::new(&e, &h), Direction::new(&e, &h)));
        let mut plain = Vec::new();
        let opened = link.open(&mut bytes(&case["packet"]), &mut plain);
        assert_eq!(opened.is_ok(), case["accept"] == true, "{}", case["case"]);
        assert_eq!(plain, case.get("plaintext").map(bytes).unwrap_or_default(), "{}", case["case"]);
    }
}
