//! libFuzzer's entry to `perennial_tests::fuzzing::range`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| perennial_tests::fuzzing::range(data));
