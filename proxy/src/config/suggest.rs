//! "Did you mean": the known name that is most like a misspelt one.

/// The candidate most like `word`, if any is like it at all: at most a third of its letters differ,
/// or the last part of a dotted name is the same.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (difference(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

fn difference(word: &str, candidate: &str) -> usize {
    let (word, candidate) = (fold(word), fold(candidate));
    let whole = distance(&word, &candidate);
    match candidate.rsplit_once('.') {
        Some((_, last)) => {
            let tail = word.rsplit('.').next().unwrap_or_default();
            whole.min(distance(tail, last) + 1)
        }
        None => whole,
    }
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '_'], "")
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_suggested_and_nothing_when_none_is_similar() {
        let names = ["listen", "limits.key_max", "limits.args_max", "workers"];
        let cases = [
            ("lisen", Some("listen")),
            ("Workers", Some("workers")),
            ("key_max", Some("limits.key_max")),
            ("limits.key-max", Some("limits.key_max")),
            ("limit.arg_max", Some("limits.args_max")),
            ("colour", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, names).as_deref(), expected, "{word}");
        }
    }
}
