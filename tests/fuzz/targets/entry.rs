//! libFuzzer's entry to `perennial_tests::fuzzing::entry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| perennial_tests::fuzzing::entry(data));
