//! See `orchestrate::fuzzing::junit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::junit(bytes));
