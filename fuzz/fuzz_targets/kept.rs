//! See `orchestrate::fuzzing::kept`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::kept(bytes));
