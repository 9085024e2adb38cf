//! See `orchestrate::fuzzing::expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::expression(bytes));
