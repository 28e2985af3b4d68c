//! Fuzzer of target `noise`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pdw_tests::fuzz::noise(input));
