//! See `orchestrate::fuzzing::listings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::listings(bytes));
