//! From a manifest to a configuration: layers merged, names checked, patterns and templates parsed.
//!
//! Precedence, strongest first: command line, environment, the profile's group, the group, the profile's defaults,
//! `[defaults]`, the runner's preset, built in. (Overrides are kept apart: which apply is known only for a test.) Problems
//! are collected, never returned early, so that all are told at once.

mod bounds;
mod group;
mod hooks;
mod layers;
mod needs;
mod pools;
mod retry;
mod runner;
mod session;

use std::cell::OnceCell;
use std::path::PathBuf;

use serde_json::Value;

use super::config::{Config, GroupName, Origin, Provenance, RunConfig};
use super::model::{Factor, Manifest, Order, Run};
use super::problem::{MOST_SHOWN, Place, Problem};
use super::source::{Source, Spans, join};
use crate::suggest::did_you_mean;
use layers::Layers;
pub use pools::SEPARATOR as POOL_SEPARATOR;

/// What is chosen outside of the manifest.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// `--profile`.
    pub profile: Option<String>,
    /// `-n` or `FASTEST_WORKERS`, and which of them; 0 is automatic.
    pub workers: Option<(u32, Origin)>,
    /// `--order`.
    pub order: Option<(Order, Origin)>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--timeout-multiplier` or `FASTEST_TIMEOUT_MULTIPLIER`, and which of them.
    pub timeout_multiplier: Option<(Factor, Origin)>,
}

/// A manifest as it was read.
#[derive(Debug)]
pub struct Document<'t> {
    /// Its text.
    pub source: &'t Source,
    /// Where things stand in it.
    pub spans: Spans<'t>,
    /// Its values.
    pub value: Value,
    /// Its tables.
    pub manifest: Manifest,
    lines: OnceCell<Vec<usize>>,
}

impl<'t> Document<'t> {
    /// A manifest as it was read.
    #[must_use]
    pub fn new(source: &'t Source, spans: Spans<'t>, value: Value, manifest: Manifest) -> Self {
        Self {
            source,
            spans,
            value,
            manifest,
            lines: OnceCell::new(),
        }
    }

    /// The line of a key, from 1.
    #[must_use]
    pub fn line(&self, pointer: &str) -> usize {
        let ends = self.lines.get_or_init(|| {
            let bytes = self.source.text.bytes().enumerate();
            bytes
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect()
        });
        let start = self.spans.range(&Place::Key(pointer.to_owned())).start;
        ends.partition_point(|end| *end < start) + 1
    }
}

/// The formats that reports can be asked for in.
pub const REPORT_FORMATS: [&str; 2] = ["junit", "jsonl"];

/// Resolves a manifest whose root is `root`.
///
/// # Errors
/// All problems that cross keys.
pub fn resolve(
    document: &Document<'_>,
    root: PathBuf,
    choices: &Choices,
) -> Result<Config, Vec<Problem>> {
    let mut resolver = Resolver {
        document,
        choices,
        root: root.clone(),
        timeout_factor: Factor::default(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let config = resolver.config(root);
    if resolver.problems.is_empty() {
        Ok(config)
    } else {
        Err(resolver.problems)
    }
}

/// What profiles say of groups that there are not.
#[must_use]
pub fn stray_overlays(manifest: &Manifest) -> Vec<Problem> {
    let groups = manifest.groups.as_ref();
    let names = || groups.into_iter().flatten().map(|(name, _)| name.as_str());
    let mut problems = Vec::new();
    for (name, profile) in manifest.profiles.iter().flatten() {
        for group in profile.groups.iter().flatten().map(|(group, _)| group) {
            if groups.is_some_and(|groups| groups.contains_key(group)) {
                continue;
            }
            let pointer = format!("{}/groups", join("/profiles", name));
            let message = format!("there is no group `{group}`");
            problems.push(
                Problem::key(join(&pointer, group), message)
                    .label("a profile overlays groups that exist")
                    .help(did_you_mean(group, names())),
            );
            if problems.len() > MOST_SHOWN {
                return problems;
            }
        }
    }
    problems
}

pub(super) struct Resolver<'a> {
    document: &'a Document<'a>,
    choices: &'a Choices,
    root: PathBuf,
    timeout_factor: Factor,
    problems: Vec<Problem>,
    /// What is allowed and probably not meant.
    warnings: Vec<String>,
}

impl Resolver<'_> {
    fn config(&mut self, root: PathBuf) -> Config {
        let document = self.document;
        let manifest = &document.manifest;
        if manifest.executors.is_some() {
            let problem = Problem::key("/executors", "`executors` is not yet supported");
            self.problems.push(problem.label("not yet supported"));
        }
        let profile = self.choices.profile.as_ref();
        let profile = profile.and_then(|name| Some((name, manifest.profiles.as_ref()?.get(name)?)));
        let run = self.run(profile.map(|(name, profile)| (name.as_str(), profile.run.as_ref())));
        let mut resolved = Vec::new();
        for (name, group) in manifest.groups.iter().flatten() {
            if self.is_hopeless() {
                break;
            }
            let pointer = join("/groups", name);
            let Some(group_name) = GroupName::new(name) else {
                let message = format!("`{name}` can't be a group's name");
                self.problems.push(
                    Problem::key(pointer, message)
                        .label("letters, digits, `.`, `_` and `-`")
                        .help("the name is part of test ids and file names".to_owned()),
                );
                continue;
            };
            let layers = Layers::new(document, name, group, profile);
            resolved.extend(self.group(group_name, layers));
        }
        let pools = self.pools();
        needs::check(document, &resolved, &mut self.problems);
        Config {
            root,
            manifest: Some(document.source.path.clone()),
            source: document.source.clone(),
            run,
            pools,
            groups: resolved,
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    /// Whether there are more problems than are told, so that looking for more is for nothing.
    fn is_hopeless(&self) -> bool {
        self.problems.len() > MOST_SHOWN
    }

    fn run(&mut self, profile: Option<(&str, Option<&Run>)>) -> RunConfig {
        let mut tables = Vec::new();
        if let Some((name, Some(run))) = profile {
            tables.push((
                format!("profiles.{name}.run"),
                join("/profiles", name) + "/run",
                run,
            ));
        }
        if let Some(run) = &self.document.manifest.run {
            tables.push(("run".to_owned(), "/run".to_owned(), run));
        }
        let mut provenance = Vec::new();
        let document = self.document;
        let mut origin = |key: &str, default: &str, written: &dyn Fn(&Run) -> bool| {
            let table = tables.iter().find(|(_, _, run)| written(run));
            let (value, origin) = match table {
                Some((table, pointer, _)) => layers::written(document, table, pointer, key),
                None => (default.to_owned(), Origin::BuiltIn),
            };
            provenance.push(Provenance {
                key: key.to_owned().into(),
                value,
                origin,
            });
        };
        origin("workers", "0", &|run| run.workers.is_some());
        origin("timeout", "0", &|run| run.timeout.is_some());
        origin("max-fail", "0", &|run| run.max_fail.is_some());
        origin("timeout-multiplier", "1", &|run| {
            run.timeout_multiplier.is_some()
        });
        origin("min-free-memory", "automatic", &|run| {
            run.min_free_memory.is_some()
        });
        let mut workers = tables
            .iter()
            .find_map(|(_, _, run)| run.workers)
            .map(|n| n.0);
        if let Some((number, from)) = &self.choices.workers {
            workers = Some(*number);
            provenance[0].value = number.to_string();
            provenance[0].origin = from.clone();
        }
        let written = tables.iter().find_map(|(_, _, run)| run.timeout_multiplier);
        self.timeout_factor = written.unwrap_or_default();
        if let Some((factor, from)) = &self.choices.timeout_multiplier {
            self.timeout_factor = *factor;
            let mut shown = provenance.iter_mut();
            if let Some(shown) = shown.find(|shown| shown.key == "timeout-multiplier") {
                shown.value = factor.to_string();
                shown.origin = from.clone();
            }
        }
        let reports = self.reports(&tables, &mut provenance);
        let positive = |number: u32| (number > 0).then_some(number as usize);
        RunConfig {
            workers: workers.and_then(positive),
            timeout: tables
                .iter()
                .find_map(|(_, _, run)| run.timeout)
                .map(|span| span.0)
                .filter(|span| !span.is_zero()),
            max_fail: tables.iter().find_map(|(_, _, run)| run.max_fail),
            min_free_memory: tables
                .iter()
                .find_map(|(_, _, run)| run.min_free_memory)
                .map(|size| size.0),
            seed: self.choices.seed,
            reports,
            provenance,
        }
    }

    /// The reports of the profile and of the manifest: they add up, and of one format the profile's path counts.
    fn reports(
        &mut self,
        tables: &[(String, String, &Run)],
        provenance: &mut Vec<Provenance>,
    ) -> Vec<(String, String)> {
        let mut reports: Vec<(String, String)> = Vec::new();
        for (table, pointer, run) in tables {
            for (format, path) in run.reports.iter().flatten() {
                let pointer = format!("{pointer}/reports");
                let place = join(&pointer, format);
                if !REPORT_FORMATS.contains(&format.as_str()) {
                    self.problems.push(
                        Problem::key(place, format!("there is no report format `{format}`"))
                            .label(format!("one of {}", REPORT_FORMATS.join(", ")))
                            .help(did_you_mean(format, REPORT_FORMATS)),
                    );
                } else if path.is_empty() {
                    self.problems
                        .push(Problem::value(place, "a report needs a path").label("empty"));
                }
                if reports.iter().all(|(known, _)| known != format) {
                    let (value, origin) = layers::written(self.document, table, &pointer, format);
                    provenance.push(Provenance {
                        key: format!("reports.{format}").into(),
                        value,
                        origin,
                    });
                    reports.push((format.clone(), path.clone()));
                }
            }
        }
        if reports.is_empty() {
            provenance.push(Provenance {
                key: "reports".into(),
                value: "{}".to_owned(),
                origin: Origin::BuiltIn,
            });
        }
        reports
    }
}
