//! Rules: how the end of a process becomes a result, where a listing states more than "exit code 0 is a pass".

use regex::bytes::Regex;

/// See the module. The rules are CTest's
/// (<https://cmake.org/cmake/help/latest/manual/cmake-properties.7.html#properties-on-tests>); a pattern is looked for in all
/// that the process printed.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// A pass is a failure, and a failure a pass.
    pub will_fail: bool,
    /// One of these patterns must be found, and then the exit code does not count. None is no such rule.
    pub pass: Vec<Regex>,
    /// None of these patterns may be found.
    pub fail: Vec<Regex>,
    /// One of these patterns says that the test was skipped.
    pub skip: Vec<Regex>,
    /// This exit code says that the test was skipped.
    pub skip_exit: Option<i32>,
}

impl Rules {
    /// Whether what the process printed matters.
    #[must_use]
    pub fn read_output(&self) -> bool {
        let all = [&self.pass, &self.fail, &self.skip];
        all.iter().any(|patterns| !patterns.is_empty())
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        fn texts(patterns: &[Regex]) -> Vec<&str> {
            patterns.iter().map(Regex::as_str).collect()
        }
        let key = |rules: &Self| (rules.will_fail, rules.skip_exit);
        key(self) == key(other)
            && texts(&self.pass) == texts(&other.pass)
            && texts(&self.fail) == texts(&other.fail)
            && texts(&self.skip) == texts(&other.skip)
    }
}
