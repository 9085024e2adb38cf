//! See `orchestrate::fuzzing::merge`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::merge(bytes));
