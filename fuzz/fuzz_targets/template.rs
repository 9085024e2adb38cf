//! See `orchestrate::fuzzing::template`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::template(bytes));
