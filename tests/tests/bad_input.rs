//! Input that is not as it should be: Redis's own errors, bounded memory, and everybody else unharmed.

mod bad_input {
    mod descriptors;
    mod protocol;
    mod sizes;
    mod upstreams;
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("bad_input", rows)
}
