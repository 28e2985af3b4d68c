//! Fuzzer of target `carrier`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pdw_tests::fuzz::carrier(input));
