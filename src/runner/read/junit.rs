//! JUnit files, also those that were cut off.
//!
//! There is no standard, so this takes what the tools in use write (<https://github.com/testmoapp/junitxml>): `testcase`s with
//! `name`, `classname`, `file` and `time`, and in them `failure`, `error` and `skipped`; suites within suites, which lend their
//! cases a file and a class; and the reruns of Maven's Surefire. A test case belongs to the item whose id it spells; where
//! items are files, to the file that it names; the only item of a job gets all of them.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Case, Told, Verdict};
use crate::outcome::Outcome;
use crate::plan::Item;

/// A `testcase`.
#[derive(Debug, Default)]
pub struct TestCase {
    pub name: String,
    pub class: String,
    pub file: String,
    pub seconds: Option<f64>,
    pub outcome: Option<Outcome>,
    pub message: String,
    pub output: String,
}

impl TestCase {
    pub fn verdict(self) -> Verdict {
        let outcome = self.outcome.unwrap_or(Outcome::Passed);
        Verdict {
            outcome,
            seconds: self.seconds,
            message: (outcome != Outcome::Passed)
                .then_some(self.message)
                .map(|text| {
                    if text.is_empty() {
                        first_line(&self.output)
                    } else {
                        text
                    }
                })
                .filter(|text| !text.is_empty()),
            output: Some(self.output),
        }
    }
}

/// Of a failure without a message, its text says why.
fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

pub fn read(report: &[u8], holds: bool, root: &Path, items: &[Item]) -> Told {
    let mut told = Told::of(items);
    let (cases, is_whole) = cases(report);
    for case in cases {
        let spelt = items.iter().position(|item| is_spelt(&case, item));
        let named = || match items {
            [_] => Some(0),
            _ => items.iter().position(|item| is_file(&case, item, root)),
        };
        let item = spelt.or_else(named);
        let file = item.and_then(|index| file_of(&items[index]));
        let name = if case.class.is_empty() || file.is_some_and(|file| means(&case.class, file)) {
            case.name.clone()
        } else {
            format!("{}::{}", case.class, case.name)
        };
        let is_inside = holds && spelt.is_none();
        let mut verdict = case.verdict();
        if items.len() == 1 && !is_inside {
            // Where the tool says nothing of its own, what the job printed is said of it.
            verdict.output = verdict.output.filter(|output| !output.trim().is_empty());
        }
        let case = Case {
            name,
            item,
            verdict,
        };
        if let (true, true, Some(item)) = (is_inside, is_whole, item) {
            // That it was told of is enough: its tests speak for themselves.
            told.verdicts[item].get_or_insert(Verdict::new(Outcome::Passed, None));
        }
        told.add(is_inside, items, case);
    }
    if !is_whole && !report.is_empty() {
        told.incomplete = Some("its report is cut off".to_owned());
    }
    told
}

/// Whether a class is but another word for its file: its path, its name, or its path with dots.
fn means(class: &str, file: &Path) -> bool {
    Path::new(class) == file
        || file.file_name().is_some_and(|name| name == class)
        || Path::new(&class.replace('.', "/")) == file.with_extension("")
}

/// Whether a test case spells the id of this item.
fn is_spelt(case: &TestCase, item: &Item) -> bool {
    let id = item.id.as_str();
    if id == case.name
        || *item.argument == *case.name
        || id == format!("{}::{}", case.class, case.name)
        || id == format!("{}.{}", case.class, case.name)
    {
        return true;
    }
    // pytest's own way: `a/b.py::C::test[x]` is the class `a.b.C` with the name `test[x]`.
    let (path, parameters) = id.split_at(id.find('[').unwrap_or(id.len()));
    let Some((head, name)) = path.rsplit_once("::") else {
        return false;
    };
    let mut parts = head.split("::");
    let module = parts.next().unwrap_or_default();
    let module = module
        .strip_suffix(".py")
        .unwrap_or(module)
        .replace('/', ".");
    let class = parts.fold(module, |class, part| class + "." + part);
    class == case.class && format!("{name}{parameters}") == case.name
}

/// The file of an item, as the runner calls it: in the group's folder, which may be below the root.
fn file_of(item: &Item) -> Option<&Path> {
    let file = item.file.as_deref()?;
    let own = Path::new(&item.id);
    Some(if file.ends_with(own) { own } else { file })
}

/// Whether a test case is in this item, a file. `root` is the folder that the runner runs in.
fn is_file(case: &TestCase, item: &Item, root: &Path) -> bool {
    let id = item.id.as_str();
    let Some(file) = file_of(item).filter(|file| *file == Path::new(id)) else {
        return false;
    };
    let named = Path::new(&case.file);
    let class = case.class.replace('.', "/");
    named == file
        || named.strip_prefix(root).is_ok_and(|named| named == file)
        || named.strip_prefix(".").is_ok_and(|named| named == file)
        || case.class == id
        || Path::new(&class) == file.with_extension("")
}

/// A suite lends its cases what they do not say themselves.
#[derive(Default)]
struct Suite {
    name: String,
    file: String,
}

impl Suite {
    /// A case that stands for the suite itself.
    fn case(&self) -> TestCase {
        TestCase {
            name: self.name.clone(),
            file: self.file.clone(),
            ..TestCase::default()
        }
    }
}

/// All test cases that are whole, and whether the report is: what follows a cut is lost, what came before it is not.
pub fn cases(report: &[u8]) -> (Vec<TestCase>, bool) {
    let text = String::from_utf8_lossy(report);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut cases = Vec::new();
    let mut suites: Vec<Suite> = Vec::new();
    let mut open: Option<TestCase> = None;
    let mut depth = 0_usize;
    let mut into_output = false;
    loop {
        let event = reader.read_event();
        match &event {
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            _ => {}
        }
        match event {
            Ok(Event::Start(element)) if element.local_name().as_ref() == "testcase" => {
                // Some tools put a case into a case.
                cases.extend(open.take());
                open = Some(case(&element, suites.last()));
            }
            Ok(Event::Empty(element)) if element.local_name().as_ref() == "testcase" => {
                cases.push(case(&element, suites.last()));
            }
            Ok(Event::End(element)) if element.local_name().as_ref() == "testcase" => {
                cases.extend(open.take());
            }
            Ok(Event::Start(element)) if element.local_name().as_ref() == "testsuite" => {
                let outer = suites.last().map(|suite| suite.file.clone());
                let file = attribute(&element, "file");
                suites.push(Suite {
                    name: attribute(&element, "name"),
                    file: if file.is_empty() {
                        outer.unwrap_or_default()
                    } else {
                        file
                    },
                });
            }
            Ok(Event::End(element)) if element.local_name().as_ref() == "testsuite" => {
                suites.pop();
            }
            Ok(Event::Start(element) | Event::Empty(element)) => {
                if let Some(case) = &mut open {
                    into_output = detail(case, &element);
                } else if let Some(suite) = suites.last() {
                    // What fails outside of any case, such as the set-up of a suite.
                    let mut case = suite.case();
                    detail(&mut case, &element);
                    cases.extend(
                        Some(case).filter(|case| case.outcome.is_some_and(Outcome::is_failure)),
                    );
                }
            }
            Ok(Event::End(_)) => into_output = false,
            Ok(Event::Text(text)) => {
                if let (Some(case), true) = (&mut open, into_output) {
                    case.output.push_str(&text);
                }
            }
            Ok(Event::CData(text)) => {
                if let (Some(case), true) = (&mut open, into_output) {
                    case.output.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                if let (Some(case), true) = (&mut open, into_output) {
                    case.output
                        .push_str(&unescape(&format!("&{};", &*reference)));
                }
            }
            Ok(Event::Eof) => return (cases, depth == 0),
            Err(_) => return (cases, false),
            Ok(_) => {}
        }
    }
}

fn case(element: &BytesStart<'_>, suite: Option<&Suite>) -> TestCase {
    let or_of_suite = |name: &str, of: fn(&Suite) -> &String| {
        let own = attribute(element, name);
        match suite {
            Some(suite) if own.is_empty() => of(suite).clone(),
            _ => own,
        }
    };
    // GoogleTest's word for a test that is disabled.
    let was_left_out = attribute(element, "status") == "notrun";
    TestCase {
        name: attribute(element, "name"),
        class: or_of_suite("classname", |suite| &suite.name),
        file: or_of_suite("file", |suite| &suite.file),
        seconds: seconds(&attribute(element, "time")),
        outcome: was_left_out.then_some(Outcome::Skipped),
        ..TestCase::default()
    }
}

/// A duration: `1,234.5` has thousands apart, `0,25` was written where the comma is the decimal point.
fn seconds(text: &str) -> Option<f64> {
    let text = if text.contains('.') {
        text.replace(',', "")
    } else {
        text.replace(',', ".")
    };
    let seconds: f64 = text.trim().trim_end_matches('s').parse().ok()?;
    Some(seconds).filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

/// Takes in a child of a test case; whether its text is worth keeping.
fn detail(case: &mut TestCase, element: &BytesStart<'_>) -> bool {
    let outcome = match element.local_name().as_ref() {
        "failure" => Outcome::Failed,
        "error" => Outcome::Errored,
        "skipped" if attribute(element, "type") == "pytest.xfail" => Outcome::Xfailed,
        "skipped" | "ignored" | "disabled" => Outcome::Skipped,
        // Surefire ran it again, and then it passed. Beside a `failure`, a `rerunFailure` is but another.
        "flakyFailure" | "flakyError" => Outcome::Flaky,
        "system-out" | "system-err" | "rerunFailure" | "rerunError" | "stackTrace" => return true,
        _ => return false,
    };
    if case.outcome.is_none_or(Outcome::is_success) {
        case.outcome = Some(outcome);
        case.message = attribute(element, "message");
    }
    true
}

fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    let mut values = attributes
        .flatten()
        .filter(|attribute| attribute.key.local_name().as_ref() == name);
    values
        .next()
        .map(|attribute| unescape(&attribute.value))
        .unwrap_or_default()
}

/// What can't be unescaped is kept as it stands.
fn unescape(text: &str) -> String {
    quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}
