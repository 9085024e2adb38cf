//! Exit codes. They are part of what scripts rely on: `docs/exit-codes.md`.

/// Every selected test has a passing outcome, and every report is on disk.
pub const SUCCESS: u8 = 0;
/// A test did not pass.
pub const TESTS_FAILED: u8 = 1;
/// The command line or the manifest is wrong; nothing ran.
pub const USAGE: u8 = 2;
/// A worker, a hook or a report failed.
pub const INFRASTRUCTURE: u8 = 3;
/// No test was selected.
pub const NOTHING_MATCHED: u8 = 4;

/// The run was ended by a signal.
#[must_use]
pub fn of_signal(signal: i32) -> u8 {
    128_u8.saturating_add(u8::try_from(signal).unwrap_or(0))
}
