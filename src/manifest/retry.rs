//! How long a failed test waits until it is run again, resolved.
//!
//! Pure: what is random comes from outside, as a number.

use std::time::Duration;

/// The wait before each further try of a test. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The wait before the second try.
    pub delay: Duration,
    /// Whether it doubles with each try.
    pub doubles: bool,
    /// The longest that it becomes.
    pub max: Option<Duration>,
    /// Whether each wait is shortened at random.
    pub jitter: bool,
}

impl Backoff {
    /// How long a test waits after its try number `failed`, from 1. `random` is from 0 to 1, 1 left out; with jitter the wait
    /// is longer than its half, as cargo-nextest has it.
    #[must_use]
    pub fn wait(&self, failed: u32, random: f64) -> Duration {
        let grown = if self.doubles {
            let doublings = failed.saturating_sub(1);
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            self.delay.saturating_mul(factor)
        } else {
            self.delay
        };
        let wait = grown.min(self.max.unwrap_or(Duration::MAX));
        if self.jitter {
            // Of two halves, so that the longest wait there is stays one.
            wait / 2 + (wait / 2).mul_f64(1.0 - random)
        } else {
            wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_fixed_wait_stays_and_an_exponential_one_doubles_up_to_its_bound() {
        let mut backoff = Backoff {
            delay: SECOND,
            ..Backoff::default()
        };
        let waits = |backoff: &Backoff| [1, 2, 3, 4].map(|failed| backoff.wait(failed, 0.5));
        assert_eq!(waits(&backoff), [SECOND; 4]);
        backoff.doubles = true;
        assert_eq!(waits(&backoff), [1, 2, 4, 8].map(Duration::from_secs));
        backoff.max = Some(SECOND * 3);
        assert_eq!(waits(&backoff), [1, 2, 3, 3].map(Duration::from_secs));
    }

    proptest! {
        #[test]
        fn jitter_takes_at_most_a_half(
            delay in 0_u64..100_000, doubles: bool, max in prop::option::of(1_u64..100_000), failed in 1_u32.., random in 0.0..1.0,
        ) {
            let mut backoff = Backoff {
                delay: Duration::from_millis(delay),
                doubles,
                max: max.map(Duration::from_millis),
                jitter: false,
            };
            let whole = backoff.wait(failed, random);
            prop_assert!(whole <= backoff.max.unwrap_or(Duration::MAX));
            backoff.jitter = true;
            let less = backoff.wait(failed, random);
            prop_assert!(less <= whole && less >= whole / 2, "{:?} of {:?}", less, whole);
        }
    }
}
