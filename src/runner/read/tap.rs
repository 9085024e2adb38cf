//! The Test Anything Protocol, versions 12 to 14 (<https://testanything.org/tap-version-14-specification.html>).
//!
//! A stream is the result of one item: a point that is `not ok` fails it, unless it is a TODO or a SKIP. A stream whose plan
//! is not met is no result. Subtests are what their own point at the outer level says of them, as in prove.

use super::{Case, Told, Verdict, tail};
use crate::outcome::Outcome;
use crate::plan::Item;

/// A test point of the outer level.
#[derive(Debug, Default)]
struct Point {
    ok: bool,
    number: Option<usize>,
    description: String,
    directive: Option<Directive>,
    seconds: Option<f64>,
    /// `message` of its YAML block.
    message: Option<String>,
    /// Its line, its subtest before it, and what follows it.
    text: String,
}

#[derive(Debug, PartialEq)]
enum Directive {
    Todo(String),
    Skip(String),
}

#[derive(Debug, Default)]
struct Stream {
    points: Vec<Point>,
    plans: Vec<(usize, String)>,
    bail: Option<String>,
    version: Option<String>,
}

pub fn read(report: &[u8], holds: bool, items: &[Item]) -> Told {
    let mut told = Told::of(items);
    let stream = parse(&String::from_utf8_lossy(report));
    let trouble = stream.trouble();
    if let [_] = items {
        let whole = stream.verdict(trouble.clone());
        let has_points = !stream.points.is_empty();
        if holds && has_points {
            for point in stream.points {
                told.add(true, items, point.case(Some(0)));
            }
            // The points speak for themselves; a stream that is no result is one more.
            told.verdicts[0] = match trouble {
                None => Some(Verdict::new(Outcome::Passed, None)),
                Some(_) => stream.bail.and(whole),
            };
        } else {
            told.verdicts[0] = whole;
        }
    } else {
        for point in stream.points {
            let spelt = items.iter().position(|item| {
                item.id == point.description || *item.argument == *point.description
            });
            told.add(false, items, point.case(spelt));
        }
    }
    told.incomplete = trouble;
    told
}

impl Point {
    fn is_failure(&self) -> bool {
        !self.ok && self.directive.is_none()
    }

    /// `not ok 3 - its description`.
    fn shown(&self, index: usize) -> String {
        let number = self.number.unwrap_or(index + 1);
        let word = if self.ok { "ok" } else { "not ok" };
        match self.description.as_str() {
            "" => format!("{word} {number}"),
            text => format!("{word} {number} - {text}"),
        }
    }

    fn outcome(&self) -> (Outcome, Option<&str>) {
        match (&self.directive, self.ok) {
            (Some(Directive::Skip(why)), _) => (Outcome::Skipped, Some(why)),
            (Some(Directive::Todo(why)), false) => (Outcome::Xfailed, Some(why)),
            (Some(Directive::Todo(why)), true) => (Outcome::Xpassed, Some(why)),
            (None, true) => (Outcome::Passed, None),
            (None, false) => (Outcome::Failed, self.message.as_deref()),
        }
    }

    fn case(self, item: Option<usize>) -> Case {
        let (outcome, why) = self.outcome();
        let message = why.filter(|why| !why.is_empty()).map(str::to_owned);
        Case {
            name: match (self.description.as_str(), self.number) {
                ("", Some(number)) => number.to_string(),
                ("", None) => "unnamed".to_owned(),
                (text, _) => text.to_owned(),
            },
            item,
            verdict: Verdict {
                seconds: self.seconds,
                output: Some(self.text),
                ..Verdict::new(outcome, message)
            },
        }
    }
}

impl Stream {
    /// Why the stream is no result, if it is none.
    fn trouble(&self) -> Option<String> {
        if let Some(why) = &self.bail {
            return Some(
                format!("bailed out: {why}")
                    .trim_end_matches([' ', ':'])
                    .to_owned(),
            );
        }
        if let Some(version) = &self.version {
            return Some(format!(
                "its TAP is of version {version}, which is not known"
            ));
        }
        let count = self.points.len();
        let plan = match self.plans.as_slice() {
            [] if count == 0 => return Some("it printed no TAP".to_owned()),
            [] => {
                return Some(format!(
                    "it printed no plan: nobody knows whether {count} tests are all"
                ));
            }
            [(plan, _)] => *plan,
            _ => return Some("it printed more than one plan".to_owned()),
        };
        if count != plan {
            return Some(format!("it planned {plan} tests, but ran {count}"));
        }
        let mut seen = vec![false; plan];
        for (index, point) in self.points.iter().enumerate() {
            let number = point.number.unwrap_or(index + 1);
            match number.checked_sub(1).and_then(|at| seen.get_mut(at)) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return Some(format!("test {number} came twice")),
                None => return Some(format!("test {number} is not in its plan of {plan}")),
            }
        }
        None
    }

    /// The result of the whole stream; none where it is no result.
    fn verdict(&self, trouble: Option<String>) -> Option<Verdict> {
        let failed: Vec<(usize, &Point)> = self
            .points
            .iter()
            .enumerate()
            .filter(|(_, point)| point.is_failure())
            .collect();
        let text = |points: &mut dyn Iterator<Item = &Point>| {
            let text: String = points.map(|point| point.text.as_str()).collect();
            Some(tail(text))
        };
        if let Some((index, first)) = failed.first() {
            let mut message = first.shown(*index);
            if let Some(why) = &first.message {
                message.push_str(&format!(": {why}"));
            }
            if failed.len() > 1 {
                message.push_str(&format!(" (and {} more)", failed.len() - 1));
            }
            message.extend(trouble.map(|why| format!("; {why}")));
            return Some(Verdict {
                output: text(&mut failed.iter().map(|(_, point)| *point)),
                ..Verdict::new(Outcome::Failed, message)
            });
        }
        let everything = || text(&mut self.points.iter());
        if let Some(why) = trouble {
            return self.bail.as_ref().map(|_| Verdict {
                output: everything(),
                ..Verdict::new(Outcome::Errored, why)
            });
        }
        let outcomes: Vec<_> = self.points.iter().map(Point::outcome).collect();
        let (outcome, why) = if outcomes.is_empty() {
            (
                Outcome::Skipped,
                self.plans.first().map(|(_, why)| why.as_str()),
            )
        } else {
            // What the points say that are no plain `ok`, if there is no other.
            let odd = [Outcome::Xpassed, Outcome::Xfailed, Outcome::Skipped]
                .into_iter()
                .find(|odd| outcomes.iter().any(|(outcome, _)| outcome == odd));
            let plain = outcomes
                .iter()
                .any(|(outcome, _)| *outcome == Outcome::Passed);
            match odd {
                Some(odd) if !plain => {
                    let told = outcomes.iter().find(|(outcome, _)| *outcome == odd);
                    (odd, told.and_then(|(_, why)| *why))
                }
                _ => (Outcome::Passed, None),
            }
        };
        let message = why.filter(|why| !why.is_empty()).map(str::to_owned);
        Some(Verdict {
            output: everything(),
            ..Verdict::new(outcome, message)
        })
    }
}

fn parse(text: &str) -> Stream {
    let mut stream = Stream::default();
    // What came before the next point: a subtest is told of before its own point.
    let mut before = String::new();
    let mut in_yaml = false;
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if in_yaml {
            if let Some(point) = stream.points.last_mut() {
                point.text.push_str(line);
                point.text.push('\n');
                if let Some(value) = content.strip_prefix("message:")
                    && point.message.is_none()
                {
                    let value = value.trim().trim_matches(['"', '\'']);
                    point.message = Some(value.to_owned()).filter(|value| !value.is_empty());
                }
            }
            in_yaml = content.trim_end() != "...";
            continue;
        }
        if indent % 4 == 0
            && let Some(why) = bail(content)
        {
            stream.bail.get_or_insert(why);
        }
        if indent >= 4 {
            before.push_str(line);
            before.push('\n');
            continue;
        }
        if indent == 0
            && let Some(mut point) = point(line)
        {
            point.text = std::mem::take(&mut before) + line + "\n";
            stream.points.push(point);
            continue;
        }
        if indent == 0 {
            if let Some(plan) = plan(line) {
                stream.plans.push(plan);
                continue;
            }
            if let Some(version) = line.strip_prefix("TAP version ") {
                let version = version.trim();
                if !matches!(version, "12" | "13" | "14") {
                    stream.version = Some(version.chars().take(20).collect());
                }
                continue;
            }
        }
        match stream.points.last_mut() {
            Some(point) if before.is_empty() => {
                in_yaml = indent > 0 && content.trim_end() == "---";
                point.text.push_str(line);
                point.text.push('\n');
            }
            _ => {
                before.push_str(line);
                before.push('\n');
            }
        }
    }
    if let Some(point) = stream.points.last_mut() {
        point.text.push_str(&before);
    }
    stream
}

fn bail(content: &str) -> Option<String> {
    const WORDS: &str = "bail out!";
    let head = content.get(..WORDS.len())?;
    head.eq_ignore_ascii_case(WORDS)
        .then(|| content[WORDS.len()..].trim().to_owned())
}

/// `1..N`, with a reason after `# SKIP`.
fn plan(line: &str) -> Option<(usize, String)> {
    let rest = line.strip_prefix("1..")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let number = rest[..end].parse().ok()?;
    let rest = rest[end..].trim();
    let why = match rest.strip_prefix('#').map(str::trim) {
        None if rest.is_empty() => String::new(),
        None => return None,
        Some(comment) => match directive(comment) {
            Some(Directive::Skip(why)) => why,
            _ => comment.to_owned(),
        },
    };
    Some((number, why))
}

fn point(line: &str) -> Option<Point> {
    let (ok, rest) = match line.strip_prefix("not") {
        Some(rest) => (false, rest.trim_start().strip_prefix("ok")?),
        None => (true, line.strip_prefix("ok")?),
    };
    // `okay` is no point.
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let rest = rest.trim();
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let is_number = rest[end..].is_empty() || rest[end..].starts_with([' ', '\t']);
    let number = if is_number {
        rest[..end].parse().ok()
    } else {
        None
    };
    let rest = if number.is_some() {
        rest[end..].trim_start()
    } else {
        rest
    };
    let rest = rest
        .strip_prefix("- ")
        .or_else(|| rest.strip_prefix('-'))
        .unwrap_or(rest);
    let (description, comment) = at_comment(rest);
    let directive = comment.and_then(directive);
    Some(Point {
        ok,
        number,
        description: unescape(description.trim()),
        seconds: comment.and_then(seconds),
        directive,
        ..Point::default()
    })
}

/// A description, and what is behind the `#` that ends it. Not every tool escapes a `#` that belongs to the description, so it
/// is the first one that says something known.
fn at_comment(text: &str) -> (&str, Option<&str>) {
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let comment = text[at..].strip_prefix('#').map(str::trim);
        let is_known = |comment: &&str| directive(comment).is_some() || seconds(comment).is_some();
        if let Some(comment) = comment.filter(is_known)
            && before.is_whitespace()
        {
            return (&text[..at], Some(comment));
        }
        before = character;
    }
    (text, None)
}

/// What stands after the `#`: `TODO why`, `SKIP why`, `skipped: why`.
fn directive(text: &str) -> Option<Directive> {
    let (word, why) = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .map_or((text, ""), |end| text.split_at(end));
    let why = why.trim_start_matches([':', ' ', '\t']).trim().to_owned();
    let word = word.to_ascii_lowercase();
    if word == "todo" {
        Some(Directive::Todo(why))
    } else if word.starts_with("skip") {
        Some(Directive::Skip(why))
    } else {
        None
    }
}

/// A duration as bats writes it: `in 12 ms`.
fn seconds(comment: &str) -> Option<f64> {
    let (number, unit) = comment.strip_prefix("in ")?.split_once(' ')?;
    let number: u32 = number.parse().ok()?;
    match unit {
        "ms" => Some(f64::from(number) / 1000.0),
        "sec" => Some(f64::from(number)),
        _ => None,
    }
}

/// A backslash stands before a `#` and before itself.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('\\', Some('\\' | '#')) => plain.extend(rest.next()),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<(Outcome, String), String> {
        let told = read(text.as_bytes(), false, &[Item::plain("a.t".into())]);
        match told.verdicts.into_iter().next().flatten() {
            Some(verdict) => Ok((verdict.outcome, verdict.message.unwrap_or_default())),
            None => Err(told.incomplete.unwrap_or_default()),
        }
    }

    #[test]
    fn a_stream_is_as_good_as_its_points_and_its_plan() {
        let ok = |outcome, message: &str| Ok((outcome, message.to_owned()));
        let none = |why: &str| Err(why.to_owned());
        for (text, expected) in [
            ("1..2\nok 1\nok 2\n", ok(Outcome::Passed, "")),
            ("ok\nok - b\n1..2\n", ok(Outcome::Passed, "")),
            (
                "TAP version 14\n1..2\nok 1 - a\nnot ok 2 - b\n  ---\n  message: 'no'\n  ...\n",
                ok(Outcome::Failed, "not ok 2 - b: no"),
            ),
            (
                "1..2\nok 1\nnot ok 2 # TODO later\n",
                ok(Outcome::Passed, ""),
            ),
            (
                "1..1\nnot ok 1 # todo later\n",
                ok(Outcome::Xfailed, "later"),
            ),
            ("1..1\nok 1 # TODO later\n", ok(Outcome::Xpassed, "later")),
            (
                "1..1\nok 1 - x # skip no network\n",
                ok(Outcome::Skipped, "no network"),
            ),
            ("1..0 # SKIP not here\n", ok(Outcome::Skipped, "not here")),
            (
                "1..1\nnot ok 1 - issue #3 # TODO\n",
                ok(Outcome::Xfailed, ""),
            ),
            (
                "1..1\nnot ok 1 - issue \\# todo\n",
                ok(Outcome::Failed, "not ok 1 - issue # todo"),
            ),
            (
                "1..3\nok 1\nnot ok 2\n",
                ok(Outcome::Failed, "not ok 2; it planned 3 tests, but ran 2"),
            ),
            ("1..3\nok 1\nok 2\n", none("it planned 3 tests, but ran 2")),
            ("1..1\nok 1\nok 2\n", none("it planned 1 tests, but ran 2")),
            ("1..2\nok 1\nok 1\n", none("test 1 came twice")),
            ("1..2\nok 1\nok 7\n", none("test 7 is not in its plan of 2")),
            (
                "ok 1\n",
                none("it printed no plan: nobody knows whether 1 tests are all"),
            ),
            ("1..1\n1..1\nok 1\n", none("it printed more than one plan")),
            ("okay\n", none("it printed no TAP")),
            (
                "TAP version 15\n1..1\nok\n",
                none("its TAP is of version 15, which is not known"),
            ),
            (
                "1..5\nok 1\nBail out! no disk\n",
                ok(Outcome::Errored, "bailed out: no disk"),
            ),
            (
                "1..2\n    not ok 1 - inner\n    1..1\nok 1 - outer\n    Bail out!\n",
                ok(Outcome::Errored, "bailed out"),
            ),
            // The point of a subtest says what became of it.
            (
                "1..1\n# Subtest: s\n    ok 1\n    not ok 2\n    1..2\nnot ok 1 - s\n",
                ok(Outcome::Failed, "not ok 1 - s"),
            ),
            (
                "1..1\n    ok 1\n    1..7\nok 1 - s\n",
                ok(Outcome::Passed, ""),
            ),
        ] {
            assert_eq!(verdict(text), expected, "{text}");
        }
    }

    #[test]
    fn a_failure_shows_its_subtest_and_what_is_said_of_it() {
        let text = "1..2\nok 1 - fine\n    not ok 1 - deep\n    1..1\nnot ok 2 - s\n  ---\n  at: here\n  ...\n# why\n";
        let told = read(text.as_bytes(), false, &[Item::plain("a.t".into())]);
        let output = told.verdicts[0].as_ref().unwrap().output.clone().unwrap();
        assert!(output.contains("deep") && output.contains("at: here") && output.contains("# why"));
        assert!(!output.contains("fine"));
    }
}
