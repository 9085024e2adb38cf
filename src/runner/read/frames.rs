//! Stacks that Python's faulthandler prints: where a test crashes or hangs, forty frames of what runs it follow the one that matters.

use std::fmt::Write as _;

/// What each stack of a thread begins with.
const HEAD: &str = "(most recent call first):";
/// Folders and files of what runs tests.
const RUNNING: [&str; 4] = ["_pytest", "pluggy", "_orchestrate", "orchestrate_pytest.py"];

/// A text whose stacks are without the frames of what runs tests, with how many were left out.
#[must_use]
pub fn without_frames(text: String) -> String {
    if !text.contains(HEAD) {
        return text;
    }
    let mut short = String::with_capacity(text.len());
    let mut in_stack = false;
    let mut left_out = 0;
    for line in text.split_inclusive('\n') {
        if in_stack && is_running(line) {
            left_out += 1;
            continue;
        }
        note(&mut short, &mut left_out);
        in_stack = line.trim_end().ends_with(HEAD) || (in_stack && line.starts_with("  "));
        short.push_str(line);
    }
    note(&mut short, &mut left_out);
    short
}

fn note(short: &mut String, left_out: &mut usize) {
    if *left_out > 0 {
        let noun = if *left_out == 1 { "frame" } else { "frames" };
        let _ = writeln!(short, "  ... {left_out} {noun} of pytest and orchestrate");
    }
    *left_out = 0;
}

/// Whether a line is a frame of what runs tests: `  File "PATH", line N in NAME`.
fn is_running(line: &str) -> bool {
    let path = line
        .strip_prefix("  File \"")
        .and_then(|rest| rest.split_once('"'));
    path.is_some_and(|(path, _)| path.split('/').any(|part| RUNNING.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_keeps_the_frames_of_the_project() {
        let text = "said\n  File \"/x/_pytest/a.py\", line 1 in not_a_stack\nFatal Python error: Aborted\n\n\
            Current thread 0x1 (most recent call first):\n  File \"/p/test_a.py\", line 3 in test_a\n  \
            File \"/v/_pytest/python.py\", line 166 in pytest_pyfunc_call\n  File \"/v/pluggy/_callers.py\", line 121 in _multicall\n  \
            File \"/p/conftest.py\", line 9 in wraps\n  File \"/v/pluggy/_hooks.py\", line 5 in __call__\n\nmore\n";
        let short = "said\n  File \"/x/_pytest/a.py\", line 1 in not_a_stack\nFatal Python error: Aborted\n\n\
            Current thread 0x1 (most recent call first):\n  File \"/p/test_a.py\", line 3 in test_a\n  \
            ... 2 frames of pytest and orchestrate\n  File \"/p/conftest.py\", line 9 in wraps\n  \
            ... 1 frame of pytest and orchestrate\n\nmore\n";
        assert_eq!(without_frames(text.to_owned()), short);
        assert_eq!(without_frames("plain\n".to_owned()), "plain\n");
    }
}
