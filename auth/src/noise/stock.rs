//! Against `snow` with its own resolver: another X25519, other ciphers, another transport, none of them ours.

use std::sync::Arc;

use snow::resolvers::DefaultResolver;
use snow::{Builder, HandshakeState, TransportState};

use super::aead::{Aead, TAG};
use super::record::{DATA_MAX, Direction, Link};
use super::{Cipher, Names, Peers, RECORD, Settings, begin};
use crate::{Handshake, Identity, Keys, Progress, Role, SealError, Sealed, Secret};

const PATTERNS: [&str; 2] = ["NNpsk0", "KKpsk0"];
const CIPHERS: [(Cipher, &str); 2] = [(Cipher::ChaChaPoly, "ChaChaPoly"), (Cipher::AesGcm, "AESGCM")];
const NEAR: [u8; 32] = [0xa1; 32];
const FAR: [u8; 32] = [0xb2; 32];
/// What `psk` derives from a key file of 32 sevens, computed with another implementation of HKDF.
const PSK: [u8; 32] = [
    0x96, 0xfd, 0xa0, 0xaf, 0x40, 0xbf, 0x50, 0x81, 0x5d, 0x2a, 0xf1, 0xd3, 0x97, 0x17, 0x10, 0xc3, 0x6f, 0x73, 0xd9,
    0x3b, 0x01, 0x05, 0x8b, 0x58, 0xd0, 0xc5, 0xdb, 0x3b, 0xd0, 0xd6, 0x30, 0xf1,
];
/// The prologue for link "ab" from nobody to node "c".
const PROLOGUE: &[u8] = b"pdw-proxy/noise/1\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01c";

fn identity(secret: [u8; 32]) -> Identity {
    Identity::from_file(Identity::file_of(&secret).as_bytes(), 0o600).unwrap()
}

fn settings(pattern: &str, cipher: Cipher) -> Settings {
    let peers = Peers { own: identity(NEAR), far: vec![identity(FAR).public()] };
    Settings {
        cipher,
        peers: (pattern == "KKpsk0").then_some(peers),
        names: Names { link: "ab".to_owned(), opener: String::new(), accepter: "c".to_owned() },
        ..Settings::new(Keys::from(Secret::from_file(&[7; 32], 0o600).unwrap()))
    }
}

fn stock(pattern: &str, cipher: &str, role: Role) -> HandshakeState {
    let name = format!("Noise_{pattern}_25519_{cipher}_BLAKE2s").parse().unwrap();
    let builder = Builder::with_resolver(name, Box::new(DefaultResolver)).psk(0, &PSK).unwrap();
    let near = identity(NEAR).public();
    let mut builder = builder.prologue(PROLOGUE).unwrap();
    if pattern == "KKpsk0" {
        builder = builder.local_private_key(&FAR).unwrap().remote_public_key(near.bytes()).unwrap();
    }
    match role {
        Role::Opens => builder.build_initiator().unwrap(),
        Role::Accepts => builder.build_responder().unwrap(),
    }
}

fn after_work(handshake: Box<dyn Handshake>, wire: &[u8]) -> Box<dyn Handshake> {
    match handshake.advance(wire, &mut Vec::new()).unwrap().progress {
        Progress::Work(work) => work.run(),
        other => panic!("{other:?}"),
    }
}

/// Ours opens, the stock one accepts.
fn we_open(settings: Settings, mut far: HandshakeState) -> (Box<dyn Sealed>, TransportState) {
    let (mut out, mut answer) = (Vec::new(), [0; 48]);
    let near = after_work(begin(Role::Opens, Arc::new(settings), [1; 32]), &[]);
    let Progress::NeedsBytes(near) = near.advance(&[], &mut out).unwrap().progress else { panic!() };
    assert_eq!(far.read_message(&out, &mut []).unwrap(), 0);
    assert_eq!(far.write_message(&[], &mut answer).unwrap(), 48);
    out.clear();
    let Progress::Done(near) = after_work(near, &answer).advance(&[], &mut out).unwrap().progress else { panic!() };
    let mut far = far.into_transport_mode().unwrap();
    assert_eq!(read(&mut far, &out), b"", "the confirmation");
    (near, far)
}

/// The stock one opens, ours accepts.
fn we_accept(settings: Settings, mut far: HandshakeState) -> (Box<dyn Sealed>, TransportState) {
    let (mut out, mut message) = (Vec::new(), [0; 48]);
    assert_eq!(far.write_message(&[], &mut message).unwrap(), 48);
    let near = after_work(begin(Role::Accepts, Arc::new(settings), [1; 32]), &message);
    let Progress::NeedsBytes(near) = near.advance(&[], &mut out).unwrap().progress else { panic!() };
    assert_eq!(far.read_message(&out, &mut []).unwrap(), 0);
    let mut far = far.into_transport_mode().unwrap();
    let confirmation = write(&mut far, b"");
    let advanced = near.advance(&confirmation, &mut out).unwrap();
    let Progress::Done(near) = advanced.progress else { panic!() };
    assert_eq!(advanced.consumed, confirmation.len());
    (near, far)
}

/// A record as the documentation describes it.
fn write(far: &mut TransportState, data: &[u8]) -> Vec<u8> {
    let inside = [data, &(data.len() as u16).to_be_bytes()].concat();
    let mut record = vec![0; 2 + inside.len() + TAG];
    let size = far.write_message(&inside, &mut record[2..]).unwrap();
    record[..2].copy_from_slice(&(size as u16).to_be_bytes());
    record
}

/// The data of the only record.
fn read(far: &mut TransportState, record: &[u8]) -> Vec<u8> {
    let size = usize::from(u16::from_be_bytes([record[0], record[1]]));
    assert_eq!(record.len(), 2 + size);
    let mut inside = vec![0; size];
    let len = far.read_message(&record[2..], &mut inside).unwrap();
    let data = usize::from(u16::from_be_bytes([inside[len - 2], inside[len - 1]]));
    inside.truncate(data);
    inside
}

#[test]
fn it_understands_us_and_we_understand_it() {
    for pattern in PATTERNS {
        for (cipher, name) in CIPHERS {
            for role in [Role::Opens, Role::Accepts] {
                let (mut near, mut far) = match role {
                    Role::Opens => we_open(settings(pattern, cipher), stock(pattern, name, Role::Accepts)),
                    Role::Accepts => we_accept(settings(pattern, cipher), stock(pattern, name, Role::Opens)),
                };
                for size in [1, 64, 1000, DATA_MAX] {
                    let data = vec![size as u8; size];
                    let (mut wire, mut plain) = (Vec::new(), Vec::new());
                    near.seal(&data, &mut wire).unwrap();
                    assert_eq!(read(&mut far, &wire), data, "{pattern} {name} {role:?}");
                    assert!(wire.len() <= RECORD);
                    near.open(&mut write(&mut far, &data), &mut plain).unwrap();
                    assert_eq!(plain, data, "{pattern} {name} {role:?}");
                }
            }
        }
    }
}

#[test]
fn it_opens_what_follows_a_new_key() {
    for (cipher, name) in CIPHERS {
        let (_, mut far) = we_open(settings("NNpsk0", cipher), stock("NNpsk0", name, Role::Accepts));
        // The keys of that connection are its own; a transport with keys that are known is needed.
        let key = [9; 32];
        far.rekey_manually(Some(&key), Some(&key));
        // Three records, or the bytes of three, which have 3 bytes inside and a tag.
        let limits = if cipher == Cipher::AesGcm { (3, u64::MAX) } else { (u64::MAX, 3 * (3 + TAG as u64)) };
        let limited = || Direction::with_limit(Aead::new(cipher, &key).unwrap(), limits.0, limits.1);
        let mut near = Link::new(limited(), limited(), None);
        // The stock end has received a confirmation, so its count is one ahead.
        near.seal(b"x", &mut Vec::new()).unwrap();
        for number in 1..10_u8 {
            let mut wire = Vec::new();
            near.seal(&[number], &mut wire).unwrap();
            assert_eq!(read(&mut far, &wire), [number], "{name}");
            if number % 3 == 2 {
                far.rekey_incoming();
            }
        }
    }
}

/// A far end that can send what ours never would.
fn stock_link() -> (Box<dyn Sealed>, TransportState) {
    we_open(settings("NNpsk0", Cipher::ChaChaPoly), stock("NNpsk0", "ChaChaPoly", Role::Accepts))
}

#[test]
fn the_largest_record_is_opened() {
    let (mut near, mut far) = stock_link();
    let data = vec![7; 65_535 - TAG - 2];
    let mut wire = write(&mut far, &data);
    assert_eq!(wire.len(), 65_537);
    let mut plain = Vec::new();
    assert_eq!(near.open(&mut wire[..65_536], &mut plain).unwrap().consumed, 0);
    assert_eq!(near.open(&mut wire, &mut plain).unwrap().consumed, 65_537);
    assert_eq!(plain, data);
}

#[test]
fn an_inside_that_lies_about_its_length_is_refused() {
    for inside in [&b""[..], b"\0", b"a\0\x02", b"\xff\xff"] {
        let (mut near, mut far) = stock_link();
        let mut record = vec![0; 2 + inside.len() + TAG];
        record[1] = (inside.len() + TAG) as u8;
        far.write_message(inside, &mut record[2..]).unwrap();
        let expected = if inside.len() < 2 {
            SealError::Forged
        } else {
            SealError::Protocol("a record that has less inside than it says")
        };
        assert_eq!(near.open(&mut record, &mut Vec::new()), Err(expected), "{inside:?}");
    }
}

#[test]
fn data_before_the_confirmation_is_refused() {
    let mut far = stock("NNpsk0", "ChaChaPoly", Role::Opens);
    let (mut out, mut message) = (Vec::new(), [0; 48]);
    far.write_message(&[], &mut message).unwrap();
    let near = begin(Role::Accepts, Arc::new(settings("NNpsk0", Cipher::ChaChaPoly)), [1; 32]);
    let Progress::NeedsBytes(near) = after_work(near, &message).advance(&[], &mut out).unwrap().progress else {
        panic!()
    };
    far.read_message(&out, &mut []).unwrap();
    let wire = write(&mut far.into_transport_mode().unwrap(), b"PING\r\n");
    assert!(matches!(near.advance(&wire, &mut out), Err(SealError::Protocol(_))));
}
