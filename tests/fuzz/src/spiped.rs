//! Fuzzer of target `spiped`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pdw_tests::fuzz::spiped(input));
