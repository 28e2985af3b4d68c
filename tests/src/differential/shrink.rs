//! From a sequence that shows a difference to a short one that still does.

use std::io;

use super::trial::{Difference, Trial};
use super::{Shape, Step};

/// Runs that shrinking may cost.
const RUNS_MAX: usize = 400;

/// Drops steps, and then waits, as long as a difference of the same kind stays.
///
/// # Errors
/// As [`Trial::run`].
pub fn shrink(trial: &mut Trial, steps: &[Step], found: Difference) -> io::Result<(Vec<Step>, Difference)> {
    let kind = found.kind(steps);
    // What comes after the first difference cannot have caused it.
    let mut best = (steps[..=found.step].to_vec(), found);
    let mut runs = 0;
    let mut size = best.0.len().div_ceil(2);
    while size > 0 && runs < RUNS_MAX {
        let mut at = 0;
        while at < best.0.len() && runs < RUNS_MAX {
            runs += 1;
            let candidate = without(&best.0, at, size);
            match trial.run(&candidate)? {
                Some(difference) if difference.kind(&candidate) == kind => {
                    best = (candidate[..=difference.step].to_vec(), difference)
                }
                _ => at += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    simplest(trial, best)
}

fn without(steps: &[Step], at: usize, size: usize) -> Vec<Step> {
    steps
        .iter()
        .enumerate()
        .filter(|(index, _)| !(at..at + size).contains(index))
        .map(|(_, step)| step.clone())
        .collect()
}

/// The same steps one at a time as arrays, if they still show a difference: then pipelining has no part in it.
fn simplest(trial: &mut Trial, best: (Vec<Step>, Difference)) -> io::Result<(Vec<Step>, Difference)> {
    let plain = |step: &Step| {
        let shape = if step.shape == Shape::Inline { Shape::Array } else { step.shape };
        Step { cut: true, shape, ..step.clone() }
    };
    let waiting: Vec<Step> = best.0.iter().map(plain).collect();
    let kind = best.1.kind(&best.0);
    let found = trial.run(&waiting)?.filter(|difference| difference.kind(&waiting) == kind);
    Ok(found.map_or(best, |difference| (waiting, difference)))
}
