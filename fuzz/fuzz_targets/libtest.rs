//! See `orchestrate::fuzzing::libtest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::libtest(bytes));
