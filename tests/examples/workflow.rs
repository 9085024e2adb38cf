//! A GitHub workflow, run here: its own `run:` lines in a shell, on a machine (a folder) for each job, with the few actions
//! that it uses played by copying files.
//!
//! It reads as much of YAML as such a file needs, and refuses what it does not know, so that no step is passed over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Project;

/// YAML: text, a list or a map, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub fn parse(text: &str) -> Self {
        let lines: Vec<(usize, &str)> = text
            .lines()
            .map(|line| (line.len() - line.trim_start().len(), line.trim_end()))
            .collect();
        let mut at = 0;
        let yaml = block(&lines, &mut at, 0);
        assert_eq!(at, lines.len(), "{:?} is not understood", lines.get(at));
        yaml
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(list)) => list,
            _ => &[],
        }
    }

    pub fn map(&self) -> &[(String, Self)] {
        match self {
            Self::Map(map) => map,
            _ => &[],
        }
    }
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// What is indented by so much.
fn block(lines: &[(usize, &str)], at: &mut usize, indent: usize) -> Yaml {
    let (mut list, mut map) = (Vec::new(), Vec::new());
    while let Some((own, line)) = lines.get(*at) {
        if is_blank(line) {
            *at += 1;
            continue;
        }
        if *own < indent {
            break;
        }
        assert_eq!(*own, indent, "{line:?} is indented oddly");
        let text = line.trim_start();
        if let Some(item) = text.strip_prefix("- ") {
            // The first key of an item is on the line of its dash.
            let mut inner = vec![(indent + 2, item)];
            *at += 1;
            while let Some((own, line)) = lines
                .get(*at)
                .filter(|(own, line)| *own > indent || line.is_empty())
            {
                inner.push((*own, &line[..]));
                *at += 1;
            }
            let mut inside = 0;
            list.push(block(&inner, &mut inside, indent + 2));
            assert_eq!(inside, inner.len(), "{inner:?} is not understood");
            continue;
        }
        let (key, value) = text
            .split_once(':')
            .unwrap_or_else(|| panic!("{line:?} has no key"));
        *at += 1;
        let value = match value.trim() {
            "" => {
                let next = lines[*at..].iter().find(|(_, line)| !is_blank(line));
                match next {
                    Some((inner, _)) if *inner > indent => block(lines, at, *inner),
                    _ => Yaml::Text(String::new()),
                }
            }
            "|" => {
                let mut text = String::new();
                while let Some((_, line)) = lines
                    .get(*at)
                    .filter(|(own, line)| *own > indent || line.is_empty())
                {
                    text += line.trim_start();
                    text.push('\n');
                    *at += 1;
                }
                Yaml::Text(text)
            }
            value => match value
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                Some(inner) => {
                    let items = inner
                        .split(',')
                        .map(|item| Yaml::Text(item.trim().to_owned()));
                    Yaml::List(items.collect())
                }
                None => Yaml::Text(value.to_owned()),
            },
        };
        map.push((key.to_owned(), value));
    }
    assert!(
        list.is_empty() || map.is_empty(),
        "a list and a map at once"
    );
    if map.is_empty() {
        Yaml::List(list)
    } else {
        Yaml::Map(map)
    }
}

/// What outlives a job, and what outlives a run of the workflow.
pub struct Service {
    folder: tempfile::TempDir,
    /// By key, the oldest first.
    cache: Vec<(String, PathBuf)>,
    runs: usize,
}

/// What a run of the workflow did.
pub struct WorkflowRan {
    /// Each job, `shard 2` for one of a matrix, and whether it succeeded.
    pub jobs: BTreeMap<String, bool>,
    /// What its steps printed, by job.
    pub said: BTreeMap<String, String>,
    folder: PathBuf,
}

impl WorkflowRan {
    /// A file of an artifact.
    pub fn artifact(&self, name: &str, file: &str) -> String {
        let path = self.folder.join(name).join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Service {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            cache: Vec::new(),
            runs: 0,
        }
    }

    /// Runs the workflow. `machine` is a project that is checked out anew; `before_step` is told of the job, the step and
    /// the project, and may change that.
    pub fn run(
        &mut self,
        workflow: &Yaml,
        machine: &dyn Fn() -> Project,
        before_step: &dyn Fn(&str, &str, &Project),
    ) -> WorkflowRan {
        self.runs += 1;
        let folder = self.folder.path().join(format!("run-{}", self.runs));
        let mut ran = WorkflowRan {
            jobs: BTreeMap::new(),
            said: BTreeMap::new(),
            folder,
        };
        let mut went_well: BTreeMap<&str, bool> = BTreeMap::new();
        for (name, job) in workflow.get("jobs").unwrap().map() {
            let needed = job.text("needs").map(|needed| {
                *went_well
                    .get(needed)
                    .unwrap_or_else(|| panic!("{name} needs {needed}, which is no job before it"))
            });
            if needed == Some(false) && !is_always(job) {
                went_well.insert(name, false);
                continue;
            }
            let matrix = job
                .get("strategy")
                .and_then(|strategy| strategy.get("matrix"));
            let numbers = matrix.map_or(&[][..], |matrix| matrix.list("shard"));
            let total = numbers.len().max(1);
            for index in 0..total {
                let number = match numbers.get(index) {
                    Some(Yaml::Text(number)) => number.clone(),
                    _ => String::new(),
                };
                let label = format!("{name} {number}").trim_end().to_owned();
                let values = [
                    ("matrix.shard", number),
                    ("strategy.job-total", total.to_string()),
                    ("github.run_id", self.runs.to_string()),
                    ("github.run_attempt", "1".to_owned()),
                ];
                let project = machine();
                let mut is_well = true;
                for step in job.list("steps") {
                    if is_well || is_always(step) {
                        before_step(&label, step.text("name").unwrap_or_default(), &project);
                        let said = ran.said.entry(label.clone()).or_default();
                        is_well &= self.step(&ran.folder, &project, step, &values, said);
                    }
                }
                ran.jobs.insert(label, is_well);
                *went_well.entry(name).or_insert(true) &= is_well;
            }
        }
        ran
    }

    /// Runs a step; says whether it succeeded.
    fn step(
        &mut self,
        artifacts: &Path,
        project: &Project,
        step: &Yaml,
        values: &[(&str, String)],
        said: &mut String,
    ) -> bool {
        let with = |key: &str| {
            let with = step.get("with").and_then(|with| with.text(key));
            with.map(|text| filled(text, values))
        };
        if let Some(script) = step.text("run") {
            let script = filled(script, values);
            // What we are is here already.
            if script.starts_with("cargo install ") {
                return true;
            }
            let output = project.shell(&script);
            *said += &format!("$ {script}\n{}{}", output.stdout, output.stderr);
            return output.code == 0;
        }
        let action = step
            .text("uses")
            .unwrap_or_else(|| panic!("a step does nothing: {step:?}"));
        match action.split('@').next().unwrap() {
            "actions/checkout" => {}
            "actions/cache/restore" => {
                let (key, prefix) = (with("key").unwrap(), with("restore-keys").unwrap());
                let newest = self.cache.iter().rev();
                let mut found =
                    newest.filter(|(known, _)| *known == key || known.starts_with(&prefix));
                if let Some((_, kept)) = found.next() {
                    fs::copy(kept, project.path().join(with("path").unwrap())).unwrap();
                }
            }
            "actions/cache/save" => {
                let kept = self
                    .folder
                    .path()
                    .join(format!("cache-{}", self.cache.len()));
                fs::copy(project.path().join(with("path").unwrap()), &kept).unwrap();
                self.cache.push((with("key").unwrap(), kept));
            }
            "actions/upload-artifact" => {
                let to = artifacts.join(with("name").unwrap());
                fs::create_dir_all(&to).unwrap();
                let mut found = 0;
                for path in with("path").unwrap().lines() {
                    let from = project.path().join(path);
                    if from.exists() {
                        fs::copy(from, to.join(path)).unwrap();
                        found += 1;
                    }
                }
                *said += &format!("{found} files uploaded\n");
            }
            "actions/download-artifact" => {
                let name = with("name").or_else(|| with("pattern")).unwrap();
                let (before, is_pattern) = match name.strip_suffix('*') {
                    Some(before) => (before, true),
                    None => (name.as_str(), false),
                };
                assert!(!is_pattern || with("merge-multiple").as_deref() == Some("true"));
                for artifact in fs::read_dir(artifacts).unwrap().map(Result::unwrap) {
                    let own = artifact.file_name().into_string().unwrap();
                    if own == name || (is_pattern && own.starts_with(before)) {
                        for file in fs::read_dir(artifact.path()).unwrap().map(Result::unwrap) {
                            fs::copy(file.path(), project.path().join(file.file_name())).unwrap();
                        }
                    }
                }
            }
            other => panic!("nobody here plays {other}"),
        }
        true
    }
}

/// Whether a job or a step runs also after another has failed.
fn is_always(step: &Yaml) -> bool {
    match step.text("if") {
        None => false,
        Some("${{ !cancelled() }}") => true,
        Some(other) => panic!("{other} is a condition that nobody here understands"),
    }
}

/// A text with its expressions filled in.
fn filled(text: &str, values: &[(&str, String)]) -> String {
    let mut parts = text.split("${{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap();
        let value = values.iter().find(|(known, _)| *known == name.trim());
        filled += &value
            .unwrap_or_else(|| panic!("nobody here knows {name}"))
            .1;
        filled += rest;
    }
    filled
}
