//! The patterns of `-run` and `-skip`: a regular expression for each level of tests, with `/` between them, and later
//! alternatives of such lists with `|` between them (`go help testflag`, `testing/match.go`).

/// One alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The regular expression for tests.
    pub top: String,
    /// What stands behind the first `/`: it selects subtests.
    pub rest: Option<String>,
}

/// The alternatives of a pattern. Old versions of Go have one.
pub fn alternatives(pattern: &str, has_alternatives: bool) -> Vec<Alternative> {
    let mut ends = Vec::new();
    let mut slash = None;
    let mut from = 0;
    let (mut brackets, mut parentheses) = (0_u32, 0_i32);
    let mut bytes = pattern.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        let is_outside = brackets == 0 && parentheses == 0;
        match byte {
            b'[' => brackets += 1,
            b']' => brackets = brackets.saturating_sub(1),
            b'(' if brackets == 0 => parentheses += 1,
            b')' if brackets == 0 => parentheses -= 1,
            b'\\' => {
                bytes.next();
            }
            b'/' if is_outside && slash.is_none() => slash = Some(index),
            b'|' if is_outside && has_alternatives => {
                ends.push((from, slash.take(), index));
                from = index + 1;
            }
            _ => {}
        }
    }
    ends.push((from, slash, pattern.len()));
    let alternative = |(from, slash, end): (usize, Option<usize>, usize)| match slash {
        Some(slash) => Alternative {
            top: pattern[from..slash].to_owned(),
            rest: Some(pattern[slash + 1..end].to_owned()),
        },
        None => Alternative {
            top: pattern[from..end].to_owned(),
            rest: None,
        },
    };
    ends.into_iter().map(alternative).collect()
}

/// The pattern that runs one test, with its subtests that `rests` select; all of them where there is none.
pub fn of_test(name: &str, rests: &[String]) -> String {
    if rests.is_empty() {
        return format!("^{name}$");
    }
    let all = rests.iter().map(|rest| format!("^{name}$/{rest}"));
    all.collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str, has_alternatives: bool) -> Vec<(String, Option<String>)> {
        let all = alternatives(pattern, has_alternatives);
        all.into_iter().map(|one| (one.top, one.rest)).collect()
    }

    fn part(top: &str, rest: Option<&str>) -> (String, Option<String>) {
        (top.to_owned(), rest.map(str::to_owned))
    }

    #[test]
    fn levels_and_alternatives_are_split_outside_of_brackets() {
        assert_eq!(
            parts("A/b/c|D", true),
            [part("A", Some("b/c")), part("D", None)]
        );
        assert_eq!(parts("A/b|D", false), [part("A", Some("b|D"))]);
        assert_eq!(parts("(A|B)[|/]\\|x", true), [part("(A|B)[|/]\\|x", None)]);
        assert_eq!(parts("", true), [part("", None)]);
    }

    #[test]
    fn a_test_is_run_with_its_subtests_only() {
        assert_eq!(of_test("TestA", &[]), "^TestA$");
        assert_eq!(
            of_test("TestA", &["x".into(), "y/z".into()]),
            "^TestA$/x|^TestA$/y/z"
        );
    }
}
