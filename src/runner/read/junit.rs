//! JUnit files, also those that were cut off.
//!
//! There is no standard, so this takes what the tools in use write (<https://github.com/testmoapp/junitxml>): `testcase`s with
//! `name`, `classname`, `file` and `time`, and in them `failure`, `error` and `skipped`. A test case belongs to the item whose
//! id it spells; where items are files, to the file that it names; the only item of a job gets all of them.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Told, Verdict};
use crate::outcome::Outcome;
use crate::plan::Item;

/// A `testcase`.
#[derive(Debug, Default)]
struct Case {
    name: String,
    class: String,
    file: String,
    seconds: Option<f64>,
    outcome: Option<Outcome>,
    message: String,
    output: String,
}

pub fn read(report: &[u8], root: &Path, items: &[Item]) -> Told {
    let mut told = Told {
        verdicts: vec![None; items.len()],
        ..Told::default()
    };
    for case in cases(report) {
        let index = match items {
            [_] => Some(0),
            _ => items.iter().position(|item| spells(&case, item, root)),
        };
        if let Some(index) = index {
            merge(&mut told.verdicts[index], case);
        } else {
            let name = if case.class.is_empty() {
                case.name
            } else {
                format!("{}.{}", case.class, case.name)
            };
            told.warnings
                .push(format!("{name} was reported, but never listed"));
        }
    }
    told
}

/// Whether a test case is this item.
fn spells(case: &Case, item: &Item, root: &Path) -> bool {
    let id = item.id.as_str();
    if id == case.name
        || id == format!("{}::{}", case.class, case.name)
        || id == format!("{}.{}", case.class, case.name)
    {
        return true;
    }
    // pytest's own way: `a/b.py::C::test[x]` is the class `a.b.C` with the name `test[x]`.
    let (path, parameters) = id.split_at(id.find('[').unwrap_or(id.len()));
    if let Some((head, name)) = path.rsplit_once("::") {
        let mut parts = head.split("::");
        let module = parts.next().unwrap_or_default();
        let module = module
            .strip_suffix(".py")
            .unwrap_or(module)
            .replace('/', ".");
        let class = parts.fold(module, |class, part| class + "." + part);
        if class == case.class && format!("{name}{parameters}") == case.name {
            return true;
        }
    }
    let Some(file) = item
        .file
        .as_ref()
        .filter(|file| file.to_string_lossy() == id)
    else {
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

/// Several test cases of one item: the worst counts, the durations add up.
fn merge(verdict: &mut Option<Verdict>, case: Case) {
    let outcome = case.outcome.unwrap_or(Outcome::Passed);
    let new = Verdict {
        outcome,
        seconds: case.seconds,
        message: (outcome != Outcome::Passed)
            .then_some(case.message)
            .filter(|text| !text.is_empty()),
        output: Some(case.output),
    };
    let Some(old) = verdict else {
        *verdict = Some(new);
        return;
    };
    let seconds = old.seconds.unwrap_or(0.0) + new.seconds.unwrap_or(0.0);
    let badness = |outcome: Outcome| match outcome {
        Outcome::Skipped => 0,
        Outcome::Passed => 1,
        Outcome::Failed => 2,
        _ => 3,
    };
    if badness(new.outcome) > badness(old.outcome) {
        *old = new;
    }
    old.seconds = Some(seconds);
}

/// All test cases that are whole: what follows a cut is lost, what came before it is not.
fn cases(report: &[u8]) -> Vec<Case> {
    let text = String::from_utf8_lossy(report);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut cases = Vec::new();
    let mut open: Option<Case> = None;
    let mut into_output = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) if element.local_name().as_ref() == "testcase" => {
                open = Some(case(&element));
            }
            Ok(Event::Empty(element)) if element.local_name().as_ref() == "testcase" => {
                cases.push(case(&element));
            }
            Ok(Event::End(element)) if element.local_name().as_ref() == "testcase" => {
                cases.extend(open.take());
            }
            Ok(Event::Start(element) | Event::Empty(element)) => {
                if let Some(case) = &mut open {
                    into_output = detail(case, &element);
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
            Ok(Event::Eof) | Err(_) => return cases,
            Ok(_) => {}
        }
    }
}

fn case(element: &BytesStart<'_>) -> Case {
    Case {
        name: attribute(element, "name"),
        class: attribute(element, "classname"),
        file: attribute(element, "file"),
        seconds: attribute(element, "time")
            .replace(',', "")
            .parse()
            .ok()
            .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0),
        ..Case::default()
    }
}

/// Takes in a child of a test case; whether its text is worth keeping.
fn detail(case: &mut Case, element: &BytesStart<'_>) -> bool {
    let outcome = match element.local_name().as_ref() {
        "failure" => Outcome::Failed,
        "error" => Outcome::Errored,
        "skipped" if attribute(element, "type") == "pytest.xfail" => Outcome::Xfailed,
        "skipped" => Outcome::Skipped,
        "system-out" | "system-err" => return true,
        _ => return false,
    };
    if case.outcome.is_none_or(crate::outcome::Outcome::is_success) {
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
