//! `orchestrate list`.

use serde::Serialize;

use super::args::{ListArguments, ListForm};
use super::error::CliError;
use super::listing::Listings;
use super::{exit, hand_over, json, open, print, say, shown};
use crate::execute;
use crate::plan::{Item, Known, full_id};
use crate::report::Clean;
use crate::run::Run;

#[derive(Serialize)]
struct Listed<'a> {
    id: String,
    group: &'a str,
    runner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Lists tests; a test that can't be listed is in the list too, and makes the exit code that of a failure.
pub fn list(arguments: &ListArguments) -> Result<u8, CliError> {
    let config = open::config(&arguments.select, &open::Wishes::default())?;
    let selection = open::selection(&arguments.select, &config.root)?;
    let listings = Listings::new();
    let mut asked = arguments.select.asked(&selection);
    asked.watch = Some(&listings);
    let run = Run::prepare(config, &asked, execute::environment())?;
    open::tell(&run);
    let mut listed = Vec::new();
    for group in &run.plan.groups {
        let items = group
            .known
            .iter()
            .chain(group.jobs.iter().flat_map(|job| &job.items));
        let mut items: Vec<&Item> = items.collect();
        items.sort_by(|a, b| a.id.cmp(&b.id));
        for item in items {
            listed.push(describe(
                group.config.name.as_str(),
                &group.config.runner.name,
                item,
            ));
        }
    }
    match arguments.format {
        ListForm::Ids => listed
            .iter()
            .for_each(|item| hand_over(&format!("{}\n", shown(&item.id)))),
        ListForm::Tree => print(Clean::lines(&tree(&listed))),
        ListForm::Json => {
            hand_over(&json(&listed)?);
        }
    }
    let mut broken = listed
        .iter()
        .filter_map(|item| Some((&item.id, item.error?)))
        .peekable();
    if broken.peek().is_some() {
        for (id, error) in broken {
            say(clean!("error: {id} can't be listed: {error}"));
        }
        return Ok(exit::TESTS_FAILED);
    }
    Ok(open::looked_at(&run, &selection))
}

/// Groups, what each of their tests' ids begins with, and the tests: what two ids share is said once.
fn tree(listed: &[Listed<'_>]) -> String {
    let mut text = String::new();
    let mut above: Vec<&str> = Vec::new();
    for item in listed {
        let parts = parts(item);
        let same = parts.iter().zip(&above).take_while(|(a, b)| a == b).count();
        // A test may be called as what another one is in.
        let same = same.min(parts.len() - 1);
        for (depth, part) in parts.iter().enumerate().skip(same) {
            text.push_str(&format!("{}{}\n", "  ".repeat(depth), shown(part)));
        }
        above = parts;
    }
    text
}

/// The parts of an id: its group, its file or module, and what is in that. Parameters in brackets may hold anything.
fn parts<'a>(item: &'a Listed<'_>) -> Vec<&'a str> {
    let mut parts = vec![item.group];
    let mut rest = item.id.strip_prefix(item.group).unwrap_or(&item.id);
    while let Some(inner) = rest.strip_prefix("::") {
        let plain = &inner[..inner.find('[').unwrap_or(inner.len())];
        let end = plain.find("::").unwrap_or(inner.len());
        parts.push(&inner[..end]);
        rest = &inner[end..];
    }
    parts
}

fn describe<'a>(group: &'a str, runner: &'a str, item: &'a Item) -> Listed<'a> {
    let (skipped, error) = match &item.known {
        Some(Known::Skipped(why)) => (Some(why.as_str()), None),
        Some(Known::Broken(why) | Known::Barred(why)) => (None, Some(why.as_str())),
        None => (None, None),
    };
    Listed {
        id: full_id(group, &item.id),
        group,
        runner,
        file: item
            .file
            .as_ref()
            .map(|file| file.to_string_lossy().into_owned()),
        line: item.line,
        tags: &item.tags,
        skipped,
        error,
    }
}
