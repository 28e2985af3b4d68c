//! Large values, and clients and instances that misbehave with them.
//!
//! `PDW_FULL=1` runs the sizes of production: stripes of 50 MiB, 10,000 clients.

mod broken_clients;
mod broken_instances;
mod greedy_clients;
mod kernel;
mod memory;
mod order;
mod script;
mod stage;
mod standing;
mod stream;
mod stripe;
mod witness;

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    if pdw_tests::skipped_in_a_tree(
        "each level has every mechanism, and where one's is switched off another's stands in",
    ) {
        return Ok(());
    }
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("large", rows)
}
