//! What bats writes with `--formatter cat --timing`: TAP, and beside it a line for each file and for each test that begins.
//!
//! A test's name may hold whatever TAP has a meaning for (`# skip`, `# TODO`, `in 5ms`), and bats does not escape it. So a
//! result is read from behind the name, which the line before it has said. Who the test is, its number says where the run is
//! of exactly the tests that were asked for: a name may have variables in it, which are written as in the file in the id.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;

use super::{Reported, Told, Verdict, tail};
use crate::outcome::Outcome;
use crate::plan::Item;

/// A run of bats: one report has several, one after the other.
#[derive(Debug, Default)]
struct Run {
    /// How many tests bats said that it would run.
    plan: usize,
    /// The tests, in their order.
    tests: Vec<Test>,
}

/// What one number of the plan has come to.
#[derive(Debug, Default)]
struct Test {
    number: usize,
    file: String,
    /// Its name, if it was said to begin.
    name: Option<String>,
    /// Whether it is ok, and what stands behind its number.
    result: Option<(bool, String)>,
    /// What it wrote, and what bats says of its failure.
    text: String,
    /// The command that failed, with how.
    failed: Option<String>,
}

/// What stands behind a name.
#[derive(Debug, Default, PartialEq)]
struct Rest {
    seconds: Option<f64>,
    skipped: Option<String>,
    timeout: Option<String>,
}

pub fn read(report: &[u8], root: &Path, items: &[Item]) -> Told {
    let mut told = Told {
        started: Some(Vec::new()),
        ..Told::of(items)
    };
    let runs = parse(&String::from_utf8_lossy(report));
    let mut asked = Asked::new(items);
    for run in runs {
        let counted = run.tests.iter().filter(|test| test.result.is_some());
        let count = counted.count();
        if count != run.plan {
            let plan = run.plan;
            told.incomplete = Some(format!("bats planned {plan} tests, but ran {count}"));
        }
        let by_number = asked.by_number(&run, root);
        for test in run.tests {
            let file = within(&test.file, root);
            let number = by_number.get(&test.number).copied();
            // A result without a beginning is not a test's: `setup_file failed`. One that is skipped by its file is.
            let number = number.filter(|_| test.name.is_some() || test.is_skipped());
            let index = number.or_else(|| asked.by_name(&file, test.name.as_deref()?));
            if let (Some(index), Some(started)) = (index, &mut told.started)
                && test.name.is_some()
                && !started.contains(&index)
            {
                started.push(index);
            }
            let known = index.and_then(|index| Some(split(items.get(index)?).1));
            let Some((name, verdict)) = test.judge(known) else {
                continue;
            };
            match index {
                Some(index) => told.verdicts[index] = Some(verdict),
                None => told.found.push(Reported {
                    id: format!("{file}::{name}"),
                    item: None,
                    verdict,
                }),
            }
        }
    }
    told
}

/// The tests that were asked for.
struct Asked<'a> {
    /// By file, in its order.
    by_file: BTreeMap<&'a str, Vec<usize>>,
    /// By file and name.
    by_name: HashMap<(&'a str, &'a str), VecDeque<usize>>,
}

impl<'a> Asked<'a> {
    fn new(items: &'a [Item]) -> Self {
        let mut asked = Self {
            by_file: BTreeMap::new(),
            by_name: HashMap::new(),
        };
        for (index, item) in items.iter().enumerate() {
            let (file, name) = split(item);
            asked.by_file.entry(file).or_default().push(index);
            let named = asked.by_name.entry((file, name)).or_default();
            named.push_back(index);
        }
        for indices in asked.by_file.values_mut() {
            indices.sort_by_key(|index| items[*index].line);
        }
        asked
    }

    /// The items of a run by their numbers, if it is of all that were asked for of its files and of no others.
    fn by_number(&self, run: &Run, root: &Path) -> HashMap<usize, usize> {
        let mut files: Vec<String> = Vec::new();
        for test in &run.tests {
            let file = within(&test.file, root);
            if files.last() != Some(&file) {
                files.push(file);
            }
        }
        let of_files = files.iter().map(|file| self.by_file.get(file.as_str()));
        let indices: Vec<usize> = of_files.flatten().flatten().copied().collect();
        if indices.len() == run.plan {
            (1..).zip(indices).collect()
        } else {
            HashMap::new()
        }
    }

    /// The next item of that name.
    fn by_name(&mut self, file: &str, name: &str) -> Option<usize> {
        let file = self.by_file.keys().find(|known| **known == file)?;
        let named = self.by_name.iter_mut();
        let mut named = named.filter(|((of, known), _)| of == file && *known == name);
        named.next()?.1.pop_front()
    }
}

/// The file and the name of an item, as they were listed.
fn split(item: &Item) -> (&str, &str) {
    let file = item.module.as_str();
    let name = item.id.strip_prefix(file);
    let name = name.and_then(|name| name.strip_prefix("::"));
    (file, name.unwrap_or(&item.id))
}

/// A file's path from the folder in which bats ran.
fn within(file: &str, root: &Path) -> String {
    let path = Path::new(file);
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

impl Test {
    /// Whether it was skipped without having begun: `skip` in `setup_file`.
    fn is_skipped(&self) -> bool {
        let result = self.result.as_ref();
        result.is_some_and(|(ok, rest)| *ok && rest.contains(" # skip"))
    }

    /// Its name and its result; none if it has no result.
    fn judge(self, known: Option<&str>) -> Option<(String, Verdict)> {
        let (ok, line) = self.result?;
        let named = self.name.as_deref().or(known);
        let named = named.and_then(|name| Some((name, rest(line.strip_prefix(name)?)?)));
        let (name, rest) = match named {
            Some((name, rest)) => (name.to_owned(), rest),
            None => without_name(&line),
        };
        let (outcome, message) = match (ok, rest.skipped) {
            (true, Some(why)) => (Outcome::Skipped, Some(why)),
            (true, None) => (Outcome::Passed, None),
            (false, _) => (Outcome::Failed, rest.timeout.or(self.failed)),
        };
        let verdict = Verdict {
            seconds: rest.seconds,
            output: Some(tail(self.text)),
            ..Verdict::new(outcome, message.filter(|message| !message.is_empty()))
        };
        Some((name, verdict))
    }
}

/// What stands behind a name, if that is all it can be.
fn rest(text: &str) -> Option<Rest> {
    let mut found = Rest::default();
    let mut text = text;
    if let Some(after) = text.strip_prefix(" in ") {
        let (number, more) = after.split_once("ms")?;
        let milliseconds: u32 = number.parse().ok()?;
        found.seconds = Some(f64::from(milliseconds) / 1000.0);
        text = more;
    }
    if let Some(why) = text.strip_prefix(" # skip") {
        found.skipped = Some(why.trim().to_owned());
    } else if let Some(limit) = text.strip_prefix(" # timeout after ") {
        found.timeout = Some(format!("timeout after {limit}"));
    } else if !text.is_empty() {
        return None;
    }
    Some(found)
}

/// The same where nothing has said the name: it ends where the last of what may stand behind it begins.
fn without_name(line: &str) -> (String, Rest) {
    let ends = line.match_indices(' ').map(|(at, _)| at);
    let mut found = ends.filter_map(|at| Some((at, rest(&line[at..])?)));
    match found.next() {
        Some((at, rest)) => (line[..at].to_owned(), rest),
        None => (line.to_owned(), Rest::default()),
    }
}

fn parse(report: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut file = String::new();
    for line in report.lines() {
        let plan = line.strip_prefix("1..").and_then(|plan| plan.parse().ok());
        if let Some(plan) = plan {
            runs.push(Run {
                plan,
                ..Run::default()
            });
            continue;
        }
        let Some(run) = runs.last_mut() else { continue };
        let numbered = |rest: &str| -> Option<(usize, String)> {
            let (number, rest) = rest.split_once(' ')?;
            Some((number.parse().ok()?, rest.to_owned()))
        };
        let begins = line.strip_prefix("begin ").and_then(numbered);
        let passed = line.strip_prefix("ok ").and_then(numbered);
        let failed = line.strip_prefix("not ok ").and_then(numbered);
        let ok = passed.is_some();
        if let Some(path) = line.strip_prefix("suite ") {
            path.clone_into(&mut file);
        } else if let Some((number, name)) = begins {
            // It begins once more where bats tries it again.
            run.tests
                .retain(|test| test.number != number || test.result.is_some());
            run.tests.push(Test {
                number,
                file: file.clone(),
                name: Some(name),
                ..Test::default()
            });
        } else if let Some((number, rest)) = passed.or(failed) {
            let is_it = |test: &&mut Test| test.number == number && test.result.is_none();
            let test = match run.tests.iter_mut().rev().find(is_it) {
                Some(test) => test,
                None => {
                    run.tests.push(Test {
                        number,
                        file: file.clone(),
                        ..Test::default()
                    });
                    let Some(test) = run.tests.last_mut() else {
                        continue;
                    };
                    test
                }
            };
            test.result = Some((ok, rest));
        } else if let Some(test) = run.tests.last_mut() {
            let said = line.strip_prefix("# ").unwrap_or(line);
            let command = said.strip_prefix("  `").filter(|_| test.failed.is_none());
            if let (Some(command), Some((false, _))) = (command, &test.result) {
                test.failed = Some(format!("`{command}"));
            }
            test.text.push_str(said);
            test.text.push('\n');
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn items(names: &[&str]) -> Vec<Item> {
        let items = (1..).zip(names).map(|(line, name)| Item {
            module: "test/a.bats".into(),
            file: Some(PathBuf::from("test/a.bats")),
            line: Some(line),
            ..Item::plain(format!("test/a.bats::{name}"))
        });
        items.collect()
    }

    fn outcomes(report: &str, names: &[&str]) -> (Vec<Option<Outcome>>, Vec<String>) {
        let told = read(report.as_bytes(), Path::new("/r"), &items(names));
        let verdicts = told.verdicts.into_iter();
        (
            verdicts.map(|verdict| Some(verdict?.outcome)).collect(),
            told.found.into_iter().map(|test| test.id).collect(),
        )
    }

    #[test]
    fn a_name_may_hold_whatever_tap_has_a_meaning_for() {
        let names = ["a # skip b", "c # TODO d", "e in 5ms", "# skip", "f"];
        let report = "1..5\nsuite /r/test/a.bats\nbegin 1 a # skip b\nok 1 a # skip b in 3ms\n\
            begin 2 c # TODO d\nnot ok 2 c # TODO d in 4ms\n# (in test file test/a.bats, line 2)\n#   `false' failed\n\
            begin 3 e in 5ms\nok 3 e in 5ms in 7ms # skip why # not\n\
            begin 4 # skip\nok 4 # skip in 1ms\nbegin 5 f\nnot ok 5 f in 9ms # timeout after 1s\n";
        let told = read(report.as_bytes(), Path::new("/r"), &items(&names));
        let verdicts: Vec<Verdict> = told.verdicts.into_iter().flatten().collect();
        let seen: Vec<(Outcome, Option<&str>, Option<f64>)> = verdicts
            .iter()
            .map(|verdict| (verdict.outcome, verdict.message.as_deref(), verdict.seconds))
            .collect();
        assert_eq!(
            seen,
            [
                (Outcome::Passed, None, Some(0.003)),
                (Outcome::Failed, Some("`false' failed"), Some(0.004)),
                (Outcome::Skipped, Some("why # not"), Some(0.007)),
                (Outcome::Passed, None, Some(0.001)),
                (Outcome::Failed, Some("timeout after 1s"), Some(0.009)),
            ]
        );
        assert_eq!(told.incomplete, None);
    }

    #[test]
    fn a_name_with_variables_is_known_by_its_number() {
        let report = "1..2\nsuite /r/test/a.bats\nbegin 1 on linux\nok 1 on linux in 1ms\nbegin 2 b\nnot ok 2 b in 1ms\n";
        let (verdicts, found) = outcomes(report, &["on $OS", "b"]);
        assert_eq!(verdicts, [Some(Outcome::Passed), Some(Outcome::Failed)]);
        assert!(found.is_empty());
    }

    #[test]
    fn what_has_no_result_has_no_verdict_and_others_keep_theirs() {
        let report = "1..3\nsuite /r/test/a.bats\nbegin 1 a\nok 1 a in 1ms\nbegin 2 b\nbegin 3 c\nok 3 c in 1ms\n\
            # bats warning: Executed 2 instead of expected 3 tests\n";
        let told = read(report.as_bytes(), Path::new("/r"), &items(&["a", "b", "c"]));
        let verdicts: Vec<Option<Outcome>> = told
            .verdicts
            .iter()
            .map(|verdict| Some(verdict.as_ref()?.outcome))
            .collect();
        assert_eq!(
            verdicts,
            [Some(Outcome::Passed), None, Some(Outcome::Passed)]
        );
        assert_eq!(told.started, Some(vec![0, 1, 2]));
        assert_eq!(
            told.incomplete.as_deref(),
            Some("bats planned 3 tests, but ran 2")
        );
    }

    #[test]
    fn a_file_that_is_not_set_up_is_a_failure_and_no_test_of_it_has_run() {
        let report = "1..2\nsuite /r/test/a.bats\nnot ok 1 setup_file failed\n# (from function `setup_file' in test file test/a.bats, line 1)\n\
            #   `false' failed\n";
        let (verdicts, found) = outcomes(report, &["a", "b"]);
        assert_eq!(verdicts, [None, None]);
        assert_eq!(found, ["test/a.bats::setup_file failed"]);
        // It skips its tests without beginning them.
        let report = "1..2\nsuite /r/test/a.bats\nok 1 a # skip no net\nok 2 b # skip no net\n";
        let (verdicts, found) = outcomes(report, &["a", "b"]);
        assert_eq!(verdicts, [Some(Outcome::Skipped), Some(Outcome::Skipped)]);
        assert!(found.is_empty());
        let (_, found) = outcomes(
            "1..1\nsuite /r/test/a.bats\nbegin 1 a\nok 1 a in 1ms\nnot ok 2 teardown_file failed\n",
            &["a"],
        );
        assert_eq!(found, ["test/a.bats::teardown_file failed"]);
    }

    #[test]
    fn tests_that_were_not_listed_are_found_beside_those_that_were() {
        let report = "1..3\nsuite /r/test/a.bats\nbegin 1 a\nok 1 a in 1ms\nbegin 2 more\nok 2 more in 1ms\nbegin 3 b\nok 3 b in 2ms\n\
            1..1\nsuite /r/test/other.bats\nbegin 1 o\nok 1 o\n";
        let (verdicts, found) = outcomes(report, &["a", "b"]);
        assert_eq!(verdicts, [Some(Outcome::Passed), Some(Outcome::Passed)]);
        assert_eq!(found, ["test/a.bats::more", "test/other.bats::o"]);
    }
}
