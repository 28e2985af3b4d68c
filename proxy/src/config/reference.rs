//! The reference page, written from the option table.

use std::fmt::Write;

use pdw_router::limits::{DURATIONS, Relation, SIZES};

use super::kind::Reload;
use super::options::{OPTIONS, OptionSpec};

const HEAD: &str = include_str!("reference/head.md");
const LISTS: &str = include_str!("reference/lists.md");
const SIGNALS: &str = include_str!("reference/signals.md");

/// `docs/configuration.md`: every option with its type, default and range.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Options", |name| !name.contains('.') || name.starts_with("group."));
    page.push_str(LISTS);
    section(&mut page, "Limits", |name| name.starts_with("limits."));
    section(&mut page, "Times", |name| name.starts_with("times."));
    page.push_str("\n## Relations\n\n");
    SIZES.iter().for_each(|sizes| relation(&mut page, sizes));
    DURATIONS.iter().for_each(|durations| relation(&mut page, durations));
    page.push_str(SIGNALS);
    page
}

fn section(page: &mut String, title: &str, belongs: impl Fn(&str) -> bool) {
    line(page, format_args!("\n## {title}\n"));
    line(page, format_args!("| option | type | default | range | running | |\n|---|---|---|---|---|---|"));
    for option in OPTIONS.iter().filter(|option| belongs(option.name)) {
        row(page, option);
    }
}

fn row(page: &mut String, OptionSpec { name, kind, reload, sentence }: &OptionSpec) {
    let running = match reload {
        Reload::Live => "yes",
        Reload::Restart => "no",
    };
    let (class, default, range) = (kind.type_name(), code(&kind.default_text()), kind.range_text());
    line(page, format_args!("| `{name}` | {class} | {default} | {range} | {running} | {sentence} |"));
}

fn relation<T: PartialOrd>(page: &mut String, relation: &Relation<T>) {
    let (low, high) = (relation.low.option, relation.high.option);
    line(page, format_args!("- `{low}` is {} `{high}`: {}.", relation.word(), relation.why));
}

/// A value in code quotes; a sentence about it without.
fn code(default: &str) -> String {
    if default == "none" || default.contains(' ') { default.to_owned() } else { format!("`{default}`") }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_generated_one() {
        let committed = include_str!("../../../docs/configuration.md");
        assert!(
            committed == reference_page(),
            "docs/configuration.md is stale: run `cargo run -p pdw-proxy -- reference > docs/configuration.md`"
        );
    }

    #[test]
    fn every_option_has_a_row_with_a_sentence() {
        let page = reference_page();
        for option in OPTIONS {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", option.name)));
            assert!(row.is_some_and(|row| row.contains(option.sentence)), "{}", option.name);
            assert!(option.sentence.ends_with('.') && option.sentence.len() > 20, "{}", option.name);
        }
    }
}
