//! See `orchestrate::fuzzing::merged`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::merged(bytes));
