//! See `orchestrate::fuzzing::bats`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::bats(bytes));
