//! Random command sequences sent to one Redis and to a subject in front of one or more: their replies must be equal.
//!
//! The oracle, a Redis of its own, gets each sequence command by command; the subject gets it pipelined in random
//! chunks. What may differ is in one file, [`masks`], with a reason each. On a difference the sequence is shrunk.

mod compare;
mod generator;
pub mod masks;
mod noise;
mod oracle;
mod shrink;
mod spread;
mod trial;
mod vocabulary;

pub use generator::{Setting, sequence};
pub use masks::{MASKS, Used};
pub use noise::Noise;
pub use shrink::shrink;
pub use spread::{Family, spread_sequence};
pub use trial::{Difference, Subject, Trial};

use crate::connection::encode;
use crate::reply::printable;

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command with its arguments; for [`Shape::Scan`] without the cursor's first value.
    pub arguments: Vec<Vec<u8>>,
    /// How it is sent.
    pub shape: Shape,
    /// Whether the subject's client waits for all replies so far before it sends the next step.
    pub cut: bool,
}

/// How a step is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As an array of bulk strings.
    Array,
    /// As an inline command: words on a line.
    Inline,
    /// As a request without arguments, which gets no reply: the first argument is what is sent.
    Silent,
    /// As calls with the cursor of the last reply, until it is 0. Elements count, not their pages.
    Scan,
}

impl Step {
    /// The command's name in upper case.
    pub fn name(&self) -> String {
        self.arguments.first().map(|name| String::from_utf8_lossy(name).to_ascii_uppercase()).unwrap_or_default()
    }

    /// Argument `index` in upper case; empty where there is none.
    pub fn word(&self, index: usize) -> String {
        self.arguments.get(index).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).unwrap_or_default()
    }

    /// What goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        match self.shape {
            Shape::Array | Shape::Scan => encode(&self.arguments),
            Shape::Inline => [self.arguments.join(&b' '), b"\r\n".to_vec()].concat(),
            Shape::Silent => self.arguments[0].clone(),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.arguments.iter().map(|word| format!("\"{}\"", printable(word))).collect();
        let shape = if self.shape == Shape::Array { String::new() } else { format!("   # {:?}", self.shape) };
        let cut = if self.cut { "   # waits" } else { "" };
        write!(out, "{}{shape}{cut}", words.join(" "))
    }
}
