//! See `orchestrate::fuzzing::go`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::go(bytes));
