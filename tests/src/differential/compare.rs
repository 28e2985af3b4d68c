//! Whether two replies to one request are equal, or as alike as a mask permits.

use super::Step;
use super::masks::{MASKS, Rule, Used};
use crate::reply::Value;

/// Whether `found` may stand for `wanted`; notes the mask that permitted it.
///
/// `queued` are the steps whose replies an EXEC carries.
pub(super) fn equal(step: &Step, queued: &[Step], wanted: &Value, found: &Value, used: &mut Used) -> bool {
    if wanted == found {
        return true;
    }
    let parts = (wanted.elements(), found.elements());
    if step.name() == "EXEC" && parts.0.len() == queued.len() && parts.1.len() == queued.len() && !queued.is_empty() {
        let mut pairs = parts.0.iter().zip(parts.1);
        return queued.iter().all(|step| pairs.next().is_some_and(|(one, other)| equal(step, &[], one, other, used)));
    }
    let permits = |rule: &Rule| match rule {
        Rule::Alike(applies, alike) => applies(step) && alike(wanted, found),
        Rule::Refused(..) => false,
    };
    let mask = MASKS.iter().find(|mask| permits(&mask.rule));
    used.extend(mask.map(|mask| mask.name));
    mask.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    fn step(words: &[&str]) -> Step {
        let arguments = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Step { arguments, shape: Shape::Array, cut: false }
    }

    fn list(words: &[&str]) -> Value {
        Value::Array(Some(words.iter().map(|word| Value::Bulk(Some(word.as_bytes().to_vec()))).collect()))
    }

    #[test]
    fn order_counts_in_lists_and_not_in_sets() {
        let (one, other) = (list(&["a", "b"]), list(&["b", "a"]));
        let mut used = Used::new();
        assert!(!equal(&step(&["LRANGE", "k", "0", "-1"]), &[], &one, &other, &mut used));
        assert!(used.is_empty());
        assert!(equal(&step(&["smembers", "k"]), &[], &one, &other, &mut used));
        assert!(used.contains("order"));
        assert!(!equal(&step(&["SMEMBERS", "k"]), &[], &one, &list(&["a", "a"]), &mut used));
    }

    #[test]
    fn replies_inside_exec_are_compared_by_their_own_commands() {
        let wrap = |value: Value| Value::Array(Some(vec![value]));
        let (one, other) = (wrap(list(&["a", "b"])), wrap(list(&["b", "a"])));
        let mut used = Used::new();
        let exec = step(&["EXEC"]);
        assert!(equal(&exec, &[step(&["SMEMBERS", "k"])], &one, &other, &mut used));
        assert!(!equal(&exec, &[step(&["LRANGE", "k", "0", "-1"])], &one, &other, &mut used));
    }
}
