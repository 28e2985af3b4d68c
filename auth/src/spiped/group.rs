//! Diffie-Hellman in group 14 of RFC 3526.

use std::fmt;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U320, U2048};
use zeroize::Zeroizing;

use super::NUMBER;

/// The prime p.
const PRIME: Odd<U2048> = Odd::<U2048>::from_be_hex(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f\
     83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
     e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510\
     15728e5a8aacaa68ffffffffffffffff",
);
const PARAMS: FixedMontyParams<{ U2048::LIMBS }> = FixedMontyParams::new_vartime(PRIME);

/// Bits of an exponent: all have the same number, so that time does not tell (section 4.4: x = 2^258 + 256 random bits).
const EXPONENT_BITS: u32 = 259;

/// A public number y, big-endian. It may be any 256 bytes until it was checked.
pub(super) type Number = [u8; NUMBER];

/// The number 1, which a weak end sends.
pub(super) const ONE: Number = {
    let mut one = [0; NUMBER];
    one[NUMBER - 1] = 1;
    one
};

/// One end's half of a key exchange: a secret exponent x, which is wiped when it is dropped, and y = 2^x mod p.
pub struct Pair {
    exponent: Zeroizing<U320>,
    number: Number,
}

impl Pair {
    /// The pair of 32 random bytes. Takes as long as [`agree`](Self::agree), so it belongs on another thread than a worker's.
    pub fn new(random: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new([0; 40]);
        bytes[7] = 1 << 2;
        bytes[8..].copy_from_slice(random);
        let exponent = Zeroizing::new(U320::from_be_slice(&*bytes));
        let number = power(&U2048::from_u8(2), &exponent);
        Self { exponent, number }
    }

    pub(super) fn number(&self) -> &Number {
        &self.number
    }

    /// What both ends agree on: `far` to the power of the exponent.
    pub(super) fn agree(&self, far: &Number) -> Zeroizing<Number> {
        Zeroizing::new(power(&U2048::from_be_slice(far), &self.exponent))
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// In constant time. `base` is below p.
fn power(base: &U2048, exponent: &U320) -> Number {
    let base = FixedMontyForm::new(base, &PARAMS);
    base.pow_bounded_exp(exponent, EXPONENT_BITS).retrieve().to_be_bytes().into()
}

/// Whether y is below p (section 4.5).
pub(super) fn is_in_group(y: &Number) -> bool {
    *y < prime()
}

/// Whether what comes of y is known to everybody: 0, 1 and p - 1.
pub(super) fn is_degenerate(y: &Number) -> bool {
    let mut last = prime();
    last[NUMBER - 1] -= 1;
    [[0; NUMBER], ONE, last].contains(y)
}

fn prime() -> Number {
    PRIME.get().to_be_bytes().into()
}
