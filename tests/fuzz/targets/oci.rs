//! libFuzzer's entry to `perennial_tests::fuzzing::oci`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| perennial_tests::fuzzing::oci(data));
