//! Fuzzer of target `tls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pdw_tests::fuzz::tls(input));
