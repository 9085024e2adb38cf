//! See `orchestrate::fuzzing::tap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::tap(bytes));
