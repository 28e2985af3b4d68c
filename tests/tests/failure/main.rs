//! When things fail: links, instances and the proxy itself, one fault at a time.
//!
//! `PDW_FULL=1` runs the lengths of the specification: freezes of 90 s, values of 50 MiB, twenty kills.

mod bad_replies;
mod circuit;
mod connections;
mod crash;
mod deadlines;
mod fence;
mod freeze;
mod held_errors;
mod instances;
mod killed;
mod large;
mod repeats;
mod scene;
mod silence;
mod spool;
mod transactions;

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    if pdw_tests::skipped_in_a_tree(
        "each level has every mechanism, and where one's is switched off another's stands in",
    ) {
        return Ok(());
    }
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("failure", rows)
}
