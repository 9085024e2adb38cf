//! See `orchestrate::fuzzing::gtest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrate::fuzzing::gtest(bytes));
