//! Who does not fit is refused, and told apart where that is possible.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pdw_auth::noise::{self, Cipher, Names, PEERS_MAX};
use pdw_auth::spiped::{Pair, Pairs, Strength};
use pdw_auth::{Ending, Keys, Role, SealError, join};

use crate::ends::{
    Counted, End, Setup, State, connected, every_kind, fits, known, misfits, noise, secret, spiped, talk,
};

#[test]
fn another_key_is_refused_by_the_end_that_accepts() {
    let of = |key| {
        [spiped(Strength::Strong, secret(key)), spiped(Strength::Weak, secret(key)), Setup::Noise(noise(secret(key)))]
    };
    for (opener, accepter) in of(7).iter().zip(&of(8)) {
        assert_eq!(misfits(opener, accepter), [None, Some(SealError::Key)]);
    }
}

#[test]
fn two_keys_are_accepted_while_one_takes_the_other_s_place() {
    let of = |keys: Keys| [spiped(Strength::Strong, keys.clone()), Setup::Noise(noise(keys))];
    let both = || Keys { current: secret(8), previous: Some(secret(7)) };
    let [old, new, stranger] = [7, 8, 9].map(|key| of(secret(key).into()));
    for (at, accepter) in of(both()).iter().enumerate() {
        assert!(fits(&old[at], accepter) && fits(&new[at], accepter) && fits(&of(both())[at], accepter));
        assert!(!fits(&stranger[at], accepter));
    }
    // An end that opens uses the current one alone.
    for (opener, accepter) in of(both()).iter().zip(&of(secret(7).into())) {
        assert_eq!(misfits(opener, accepter), [None, Some(SealError::Key)]);
    }
}

#[test]
fn strict_refuses_a_weak_far_end_in_both_roles() {
    let [weak, strict] = [Strength::Weak, Strength::Strict].map(|strength| spiped(strength, secret(7)));
    assert!(matches!(misfits(&weak, &strict), [None, Some(SealError::Refused(_))]));
    assert!(matches!(misfits(&strict, &weak), [Some(SealError::Refused(_)), None]));
}

#[test]
fn everything_that_is_bound_into_noise_has_to_be_alike() {
    let plain = || Setup::Noise(noise(secret(7)));
    let names = |link: &str, opener: &str, accepter: &str| {
        let names = Names { link: link.into(), opener: opener.into(), accepter: accepter.into() };
        Setup::Noise(noise::Settings { names, ..noise(secret(7)) })
    };
    let aes = Setup::Noise(noise::Settings { cipher: Cipher::AesGcm, ..noise(secret(7)) });
    for (opener, accepter) in [
        (plain(), aes),
        (plain(), names("a", "", "")),
        (names("a", "b", "c"), names("a", "b", "d")),
        (names("a", "b", "c"), names("ab", "", "c")),
        (plain(), known(1, &[2])),
        (known(1, &[2]), plain()),
        (known(1, &[2]), known(2, &[3])),
        (known(1, &[3]), known(2, &[1])),
    ] {
        assert_eq!(misfits(&opener, &accepter), [None, Some(SealError::Key)], "{opener:?}, {accepter:?}");
    }
}

#[test]
fn an_end_knows_so_many_peers_and_no_more() {
    let strangers: Vec<u8> = (100..).take(PEERS_MAX - 1).collect();
    let fits_among = |peers: &[u8]| fits(&known(1, &[2]), &known(2, &[&strangers, peers].concat()));
    assert!(fits_among(&[1]) && !fits_among(&[99, 1]));
}

#[test]
fn the_same_role_at_both_ends_comes_to_nothing() {
    for (name, setup, _) in every_kind() {
        let opened = talk(setup.begin(Role::Opens, 11), setup.begin(Role::Opens, 22), usize::MAX);
        assert!(opened.iter().any(|end| end.error().is_some()), "{name}");
        assert!(opened.iter().all(|end| !matches!(end.state, State::Sealed(_))), "{name}");
        let accepted = talk(setup.begin(Role::Accepts, 11), setup.begin(Role::Accepts, 22), usize::MAX);
        assert!(accepted.iter().all(|end| matches!(end.state, State::Shaking(_))), "{name}");
        let joined = join(setup.begin(Role::Accepts, 11), setup.begin(Role::Accepts, 22));
        assert!(matches!(joined, Err(SealError::Late(_))), "{name}");
    }
}

#[test]
fn an_echo_is_refused() {
    for (name, setup, _) in every_kind() {
        let mut end = End::new(setup.begin(Role::Opens, 11));
        for _ in 0..4 {
            let mut out = Vec::new();
            end.advance(&mut out);
            end.inbox.extend(out);
        }
        assert_eq!(end.error(), Some(&SealError::Key), "{name}");
    }
}

#[test]
fn plain_resp_and_tls_are_named_at_once() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (name, setup, _) in every_kind() {
        for role in [Role::Opens, Role::Accepts] {
            for (bytes, expected) in
                [(&b"*1\r\n$4\r\nPING\r\n"[..], "plain RESP"), (b"-ERR x\r\n", "plain RESP"), (hello, "TLS")]
            {
                let mut end = End::new(setup.begin(role, 11));
                end.advance(&mut Vec::new());
                end.inbox.extend(bytes);
                end.advance(&mut Vec::new());
                assert_eq!(end.error(), Some(&SealError::Foreign(expected)), "{name}, {role:?}");
            }
        }
    }
}

#[test]
fn strangers_have_nothing_computed_for_them() {
    let pairs = Arc::new(Counted::default());
    let accepter = spiped(Strength::Strong, secret(7)).begin_with(Role::Accepts, 11, pairs.clone());
    let ends = talk(spiped(Strength::Strong, secret(8)).begin(Role::Opens, 22), accepter, usize::MAX);
    assert_eq!((ends[1].error(), pairs.0.load(Ordering::Relaxed)), (Some(&SealError::Key), 0));
    let accepter = spiped(Strength::Strong, secret(7)).begin_with(Role::Accepts, 11, pairs.clone());
    let ends = talk(spiped(Strength::Strong, secret(7)).begin(Role::Opens, 22), accepter, usize::MAX);
    assert!(ends.iter().all(|end| matches!(end.state, State::Sealed(_))));
    assert_eq!(pairs.0.load(Ordering::Relaxed), 1);
}

#[derive(Debug)]
struct NoEntropy;

impl Pairs for NoEntropy {
    fn take(&self) -> Option<Pair> {
        None
    }
}

#[test]
fn without_entropy_nothing_is_sealed() {
    let setup = spiped(Strength::Strong, secret(7));
    let ends = talk(setup.begin_with(Role::Opens, 11, Arc::new(NoEntropy)), setup.begin(Role::Accepts, 22), usize::MAX);
    assert!(matches!(ends[0].error(), Some(SealError::Broken(_))));
    let ends = talk(setup.begin(Role::Opens, 11), setup.begin_with(Role::Accepts, 22, Arc::new(NoEntropy)), usize::MAX);
    assert!(matches!(ends[1].error(), Some(SealError::Broken(_))));
}

/// What a handshake began with, said again by somebody without the key, must not leave a connection open.
#[test]
fn a_repeated_beginning_does_not_make_a_connection() {
    for (name, opener, accepter) in every_kind() {
        let mut first = End::new(opener.begin(Role::Opens, 11));
        let mut said = Vec::new();
        first.advance(&mut said);
        let mut far = End::new(accepter.begin(Role::Accepts, 22));
        let mut answer = Vec::new();
        far.advance(&mut answer);
        far.inbox.extend(&said);
        far.advance(&mut answer);
        first.inbox.extend(answer);
        first.advance(&mut said);

        let mut again = End::new(accepter.begin(Role::Accepts, 33));
        again.inbox.extend(&said);
        again.advance(&mut Vec::new());
        assert!(again.error().is_some(), "{name}: {again:?}");
        let mut again = End::new(accepter.begin(Role::Accepts, 33));
        again.inbox.extend(&said[..48]);
        again.advance(&mut Vec::new());
        assert!(matches!(again.state, State::Shaking(_)), "{name}: {again:?}");
    }
}

#[test]
fn an_interruption_is_told_with_what_it_may_come_from() {
    for (name, setup, _) in every_kind() {
        for role in [Role::Opens, Role::Accepts] {
            let mut end = End::new(setup.begin(role, 11));
            end.advance(&mut Vec::new());
            let State::Shaking(Some(handshake)) = &end.state else { panic!("{name}") };
            assert!(matches!(handshake.given_up(Ending::Closed, &[]), SealError::Closed(_)), "{name}");
            assert!(matches!(handshake.given_up(Ending::Late, &[]), SealError::Late(_)), "{name}");
            let told = |wire: &[u8]| handshake.given_up(Ending::Late, wire).to_string();
            assert_ne!(told(b""), told(b"x"), "{name}: whether anything came is not told");
        }
    }
}

#[test]
fn nothing_secret_is_printed() {
    // The key file, what is hashed of it, the random numbers, each as it would be printed.
    let secrets = [7_u8, 11, 22].map(|byte| format!("{byte}, {byte}, {byte}"));
    for (name, opener, accepter) in every_kind() {
        let [near, far] = connected(&opener, &accepter);
        let shaking = opener.begin(Role::Opens, 11).advance(&[], &mut Vec::new()).unwrap();
        let text =
            format!("{opener:?} {accepter:?} {near:?} {far:?} {shaking:?} {:?}", opener.begin(Role::Accepts, 22));
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{name}: {text}");
        let long = |word: &str| word.len() > 30 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| long(word));
        assert_eq!(words.count(), text.matches("PublicKey(").count() + text.matches("Identity(").count(), "{text}");
        assert!(text.len() < 2000, "{name}: {text}");
    }
}
