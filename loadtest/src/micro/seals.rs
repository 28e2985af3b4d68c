//! What seals cost: handshakes, and what travels then.

use super::Subject;
use crate::{Error, Result};
use pdw_auth::noise::{self, Cipher, Peers};
use pdw_auth::spiped::{self, Pair, Pairs, Strength};
use pdw_auth::{Handshake, Identity, Keys, Role, Sealed, Secret, join};
use std::hint::black_box;
use std::sync::Arc;

/// Amounts that are sealed in one call: one packet, a read of a worker, many reads.
const AMOUNTS: [(&str, usize); 4] = [("64 B", 64), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("64 KiB", 64 << 10)];

/// How both ends are set up; the first byte of the second one's identity is another.
#[derive(Clone)]
enum Setup {
    Spiped(Arc<spiped::Settings>),
    Noise([Arc<noise::Settings>; 2]),
}

/// A pair that was computed before, as a driver keeps some ready.
#[derive(Debug)]
struct Fresh;

impl Pairs for Fresh {
    fn take(&self) -> Option<Pair> {
        Some(Pair::new(&[0xc3; 32]))
    }
}

/// All rows.
pub(super) fn subjects() -> Result<Vec<Subject>> {
    let setups = setups()?;
    let mut subjects = vec![Subject::new("half of a key exchange, spiped", || {
        black_box(Pair::new(black_box(&[0xc3; 32])));
    })];
    for (name, setup) in &setups {
        let setup = setup.clone();
        subjects.push(Subject::new(format!("handshake of both ends, {name}"), move || {
            black_box(setup.join().is_ok());
        }));
    }
    for (name, setup) in setups.iter().filter(|(name, _)| !name.contains("identities") && !name.contains("weak")) {
        for (amount, size) in AMOUNTS {
            subjects.extend([seal(name, setup, amount, size)?, seal_and_open(name, setup, amount, size)?]);
        }
    }
    Ok(subjects)
}

fn setups() -> Result<Vec<(&'static str, Setup)>> {
    let keys = || Secret::from_file(&[7; 32], 0o600).map(Keys::from).map_err(Error::auth);
    let identity = |byte| Identity::from_file(Identity::file_of(&[byte; 32]).as_bytes(), 0o600).map_err(Error::auth);
    let spiped = |strength| Ok::<_, Error>(Setup::Spiped(Arc::new(spiped::Settings { keys: keys()?, strength })));
    let noise = |cipher| {
        let settings = Arc::new(noise::Settings { cipher, ..noise::Settings::new(keys()?) });
        Ok::<_, Error>(Setup::Noise([settings.clone(), settings]))
    };
    let known = |own, far| {
        let peers = Peers { own: identity(own)?, far: vec![identity(far)?.public()] };
        Ok::<_, Error>(Arc::new(noise::Settings { peers: Some(peers), ..noise::Settings::new(keys()?) }))
    };
    Ok(vec![
        ("spiped", spiped(Strength::Strong)?),
        ("spiped, weak", spiped(Strength::Weak)?),
        ("noise", noise(Cipher::ChaChaPoly)?),
        ("noise, AES", noise(Cipher::AesGcm)?),
        ("noise, identities", Setup::Noise([known(1, 2)?, known(2, 1)?])),
    ])
}

impl Setup {
    fn begin(&self, role: Role) -> Box<dyn Handshake> {
        match self {
            Self::Spiped(settings) => spiped::begin(role, settings.clone(), Arc::new(Fresh), [role as u8; 32]),
            Self::Noise([opener, _]) if role == Role::Opens => noise::begin(role, opener.clone(), [0xa1; 32]),
            Self::Noise([_, accepter]) => noise::begin(role, accepter.clone(), [0xb2; 32]),
        }
    }

    fn join(&self) -> Result<[Box<dyn Sealed>; 2]> {
        join(self.begin(Role::Opens), self.begin(Role::Accepts)).map_err(Error::auth)
    }
}

fn seal(name: &str, setup: &Setup, amount: &str, size: usize) -> Result<Subject> {
    let ([mut end, _], plain, mut wire) = (setup.join()?, vec![7; size], Vec::new());
    let call = move || {
        wire.clear();
        black_box(end.seal(black_box(&plain), &mut wire).is_ok());
    };
    Ok(Subject::new(format!("seal {amount}, {name}"), call).of_bytes(size))
}

fn seal_and_open(name: &str, setup: &Setup, amount: &str, size: usize) -> Result<Subject> {
    let ([mut from, mut to], plain) = (setup.join()?, vec![7; size]);
    let (mut wire, mut opened) = (Vec::new(), Vec::new());
    let call = move || {
        wire.clear();
        opened.clear();
        black_box(from.seal(black_box(&plain), &mut wire).is_ok());
        black_box(to.open(&mut wire, &mut opened).is_ok());
    };
    Ok(Subject::new(format!("seal and open {amount}, {name}"), call).of_bytes(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_does_what_it_says() {
        for (name, setup) in setups().unwrap() {
            let [mut from, mut to] = setup.join().unwrap();
            for (_, size) in AMOUNTS {
                let (mut wire, mut plain) = (Vec::new(), Vec::new());
                from.seal(&vec![7; size], &mut wire).unwrap();
                to.open(&mut wire, &mut plain).unwrap();
                assert!(plain == vec![7; size], "{name}, {size} bytes");
            }
        }
    }
}
