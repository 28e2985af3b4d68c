//! "What happens when": `docs/failures.md`, written from one table of faults.
//!
//! | file | faults |
//! |---|---|
//! | `links` | instances that are away, links that break |
//! | `replies` | what instances answer, what they permit, where they are |
//! | `peers` | links between proxies |
//! | `own` | the proxy itself, and clients in its way |
//!
//! `mechanisms` says what makes them so.

mod fault;
mod links;
mod mechanisms;
mod own;
mod peers;
mod replies;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use pdw_router::command::{CONDITIONS, MAY_DIFFER, READS, SAME};
use pdw_router::{Refusal, TROUBLES};

use fault::{Case, Fault};
use mechanisms::WITHOUT;
pub use mechanisms::{MECHANISMS, Mechanism};

const HEAD: &str = include_str!("head.md");
const KINDS: &str = include_str!("kinds.md");

/// All faults, by what they are faults of.
const SECTIONS: [(&str, &[Fault]); 7] = [
    ("An instance is away, or the way to it is", links::FAULTS),
    ("An instance answers, but not as it should", replies::ERRORS_OF_INSTANCES),
    ("An upstream does not permit what the proxy needs", replies::RIGHTS),
    ("An upstream is somewhere else", replies::ADDRESSES),
    ("Proxies before proxies", peers::PEERS),
    ("The proxy itself", own::PROXY),
    ("Clients", own::CLIENTS),
];

/// `docs/failures.md`: what becomes of requests when something fails.
pub(crate) fn failures_page() -> String {
    let mut page = HEAD.to_owned();
    outcomes(&mut page);
    page.push_str(KINDS);
    for (title, faults) in SECTIONS {
        line(&mut page, format_args!("\n## {title}"));
        faults.iter().for_each(|fault| section(&mut page, fault));
    }
    repeats(&mut page);
    page
}

fn outcomes(page: &mut String) {
    let refused = [("not sent", Refusal::NotSent, "not_sent"), ("unknown", Refusal::OutcomeUnknown, "outcome_unknown")];
    for (name, refusal, kind) in refused {
        let text = String::from_utf8_lossy(&refusal.text()).into_owned();
        line(page, format_args!("| **{name}** | `-{text}` | `pdw_refusals_total{{kind=\"{kind}\"}}` |"));
    }
    let closed = "the session is closed, since no reply can be given";
    line(page, format_args!("| **closed** | {closed} | `pdw_sessions_closed_total{{reason=\"upstream\"}}` |"));
}

fn section(page: &mut String, fault: &Fault) {
    line(page, format_args!("\n### {}\n", fault.name));
    if !fault.note.is_empty() {
        line(page, format_args!("{}\n", fault.note));
    }
    line(page, format_args!("| profile | requests | the client sees | at the instance |\n|---|---|---|---|"));
    for Case { profile, requests, client, instance } in fault.cases {
        line(page, format_args!("| {} | {requests} | {client} | {instance} |", profile.words()));
    }
    let quoted = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    page.push('\n');
    for (what, words) in [("Metrics", fault.metrics), ("Log", fault.log), ("Shown by", fault.tests)] {
        if !words.is_empty() {
            line(page, format_args!("- {what}: {}.", quoted(words)));
        }
    }
    let mechanisms = MECHANISMS.iter().filter(|row| row.fault == fault.name);
    for Mechanism { switched_off, test, .. } in mechanisms {
        line(page, format_args!("- Fails without what `{switched_off}` switches off: `{test}`."));
    }
    for (_, why) in WITHOUT.iter().filter(|(name, _)| *name == fault.name) {
        line(page, format_args!("- There is no mechanism to switch off: {why}."));
    }
    if fault.tests.is_empty() {
        line(page, format_args!("- No test shows it yet."));
    }
}

fn repeats(page: &mut String) {
    let names = |names: &[&str]| names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
    line(page, format_args!("\n## What may be sent again\n"));
    line(
        page,
        format_args!(
            "After an error that says \"not just now\" everything but scripts may, since nothing was done. Such errors begin with:"
        ),
    );
    let troubles: Vec<_> = TROUBLES.iter().map(|word| String::from_utf8_lossy(word)).collect();
    line(page, format_args!("{}.\n", troubles.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")));
    line(page, format_args!("After a lost link, under profile `pdwfs`:\n"));
    line(page, format_args!("- Reads: what servers flag `readonly`, and {}.", names(&READS)));
    line(page, format_args!("- Writes with the same reply: {}.", names(&SAME)));
    let conditions: Vec<_> = CONDITIONS.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let conditions = conditions.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    line(
        page,
        format_args!("- Writes whose reply may differ, below; pdwfs's script that cuts a stripe counts as one."),
    );
    line(page, format_args!("- None with an option that depends on what was there: {conditions}. No other command.\n"));
    line(page, format_args!("| command | its reply tells | that of a repeat |\n|---|---|---|"));
    for (name, told, repeated) in MAY_DIFFER {
        line(page, format_args!("| {} | {told} | {repeated} |", code(name)));
    }
}

/// A command's name as people write it.
fn code(name: &str) -> String {
    format!("`{}`", name.to_uppercase().replace('|', " "))
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{text}");
}
