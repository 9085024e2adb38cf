//! One group.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};

use super::Resolver;
use super::layers::Layers;
use super::pools::wrong_name;
use super::runner::Chosen;
use super::session::Facts;
use crate::manifest::config::{
    By, GroupConfig, GroupName, ItemSource, Matcher, Origin, OverrideConfig, SerialTests, Session,
    TestSettings,
};
use crate::manifest::model::{
    ChunkBy, ChunkSize, Command, Expect, Group, Isolation, Items, ListFormat, Override,
    ResultFormat, Serial, Slots, Span, StopSignal,
};
use crate::manifest::pattern::Pattern;
use crate::manifest::problem::Problem;
use crate::manifest::source::join;
use crate::manifest::template::{Context, Own, Template};
use crate::suggest::did_you_mean;

const TIMEOUT: Duration = Duration::from_secs(60);
const SLOW_AFTER: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

/// The names that a group's templates may hold besides those that all have.
pub(super) struct Names {
    /// Its resources: what a worker has.
    pub of_worker: IndexSet<String>,
    /// The pools that its tests use: what a job has.
    pub of_job: IndexSet<String>,
}

impl Names {
    /// All of them.
    pub fn all(&self) -> IndexSet<String> {
        self.of_worker.union(&self.of_job).cloned().collect()
    }
}

/// Whether a listing asks the group's files, one by one.
fn names_program(list: &Command) -> bool {
    match list {
        Command::Words(words) => words.iter().any(|word| word.contains("<program>")),
        Command::Shell(line) => line.contains("<program>"),
    }
}

/// The folders beside the one that a path names, and those below the root, as candidates for what was meant.
fn folders_near(root: &Path, dir: &Path) -> Vec<String> {
    let above = dir.parent().unwrap_or(Path::new(""));
    let mut folders = Vec::new();
    for place in [above, Path::new("")] {
        let entries = std::fs::read_dir(root.join(place)).into_iter().flatten();
        let entries = entries.flatten().filter(|entry| entry.path().is_dir());
        folders.extend(entries.map(|entry| {
            let path = place.join(entry.file_name());
            path.to_string_lossy().into_owned()
        }));
    }
    folders.sort();
    folders
}

fn built_in(value: &str) -> (String, Origin) {
    (value.to_owned(), Origin::BuiltIn)
}

impl Resolver<'_> {
    /// A test's time, as the run multiplies it. Zero is no limit.
    fn limit(&self, span: Span) -> Option<Duration> {
        Some(self.timeout_factor.of(span.0)).filter(|span| !span.is_zero())
    }

    pub(super) fn group(&mut self, name: GroupName, mut layers: Layers<'_>) -> Option<GroupConfig> {
        layers.take(
            "description",
            |group| group.description.as_ref(),
            built_in("\"\""),
        );
        let chosen = self.choose_runner(&mut layers)?;
        let resources = self.resources(&mut layers);
        for (resource, _) in resources
            .iter()
            .filter(|(_, value)| value.names().next().is_none())
        {
            self.warnings.push(format!(
                "group {name}: the resource `{resource}` is the same for all workers: `<pid>` or `<slot>` in it would make it theirs"
            ));
        }
        let mut names = Names {
            of_worker: resources.iter().map(|(name, _)| name.clone()).collect(),
            of_job: IndexSet::new(),
        };
        names.of_job = self.pools_of(&chosen, &layers, &names.of_worker);
        let runner = self.build_runner(&chosen, &mut layers, &names);
        let dir = self.dir(&mut layers)?;
        let source = self.source(&chosen, &dir, &mut layers);
        let at = layers.pointer("inputs", |group| group.inputs.as_ref());
        let inputs = layers.take("inputs", |group| group.inputs.as_ref(), built_in("[]"));
        let inputs = self.patterns(&dir, inputs.map_or(&[], Vec::as_slice), at.as_deref());
        let env = self.env(&mut layers, &names);

        let mut workers = layers.take("workers", |group| group.workers, built_in("0"));
        if let Some((number, origin)) = &self.choices.workers {
            workers = Some(crate::manifest::model::Workers(*number));
            if let Some(shown) = layers.provenance.last_mut() {
                shown.value = number.to_string();
                shown.origin = origin.clone();
            }
        }
        let preset = |value: Option<String>, default: &str| match value {
            Some(value) => (value, Origin::Preset(chosen.name.clone())),
            None => built_in(default),
        };
        let runner_size = chosen.table.chunk_size;
        let shown = match runner_size {
            Some(ChunkSize::Items(n)) => Some(n.to_string()),
            _ => None,
        };
        // A command says nothing of single items in its exit code, so it gets one unless it is told otherwise.
        let default_size = if chosen.is_command { "1" } else { "\"auto\"" };
        let chunk_size = layers.take(
            "chunk-size",
            |group| group.chunk_size,
            preset(shown, default_size),
        );
        if let (Some(ChunkSize::Items(asked)), Some(ChunkSize::Items(most))) =
            (chunk_size, runner_size)
            && asked > most
        {
            let pointer = layers.pointer("chunk-size", |group| group.chunk_size);
            let message = format!(
                "the runner `{}` takes at most {most} item a job",
                chosen.name
            );
            self.problems
                .push(Problem::value(pointer.unwrap_or_default(), message).label("too many"));
        }
        let chunk_size = chunk_size.or(runner_size).unwrap_or(if chosen.is_command {
            ChunkSize::Items(1)
        } else {
            ChunkSize::Auto
        });
        let written = |by: ChunkBy| match by {
            ChunkBy::Any => "\"any\"".to_owned(),
            ChunkBy::Module => "\"module\"".to_owned(),
        };
        // Where items are not listed from files, each is a module of its own.
        let default_by = if chosen.table.list.is_none() {
            ChunkBy::Any
        } else {
            ChunkBy::Module
        };
        let shown = preset(chosen.table.chunk_by.map(written), &written(default_by));
        let chunk_by = layers
            .take("chunk-by", |group| group.chunk_by, shown)
            .or(chosen.table.chunk_by)
            .unwrap_or(default_by);

        let mut order = layers.take("order", |group| group.order, built_in("\"smart\""));
        if let Some((asked, origin)) = &self.choices.order {
            order = Some(*asked);
            if let Some(shown) = layers.provenance.last_mut() {
                shown.value = format!("\"{}\"", asked.word());
                shown.origin = origin.clone();
            }
        }
        let word = |signal: StopSignal| format!("\"{}\"", signal.word());
        let runner_signal = chosen.table.stop_signal;
        let shown = preset(runner_signal.map(word), &word(StopSignal::default()));
        let stop_signal = layers.take("stop-signal", |group| group.stop_signal, shown);
        let tests = TestSettings {
            stop_signal: stop_signal.or(runner_signal).unwrap_or_default(),
            ..self.tests(
                &mut layers,
                &names,
                chosen.table.results.unwrap_or_default(),
            )
        };
        let timeout = layers.take("group-timeout", |group| group.group_timeout, built_in("0"));
        let exclude = self.exclude(&mut layers);
        let serial = self.serial(&mut layers);
        let overrides = self.overrides(&layers, &names, chosen.table.results.unwrap_or_default());
        let needs = layers
            .take("needs", |group| group.needs.as_ref(), built_in("[]"))
            .into_iter()
            .flatten()
            .filter_map(|name| GroupName::new(name))
            .collect();
        let bounds = self.bounds(&mut layers);
        let hooks = self.hooks(name.as_str(), &mut layers, &names);
        let compat = layers.take("compat", |group| group.compat.as_ref(), built_in("[]"));
        let parallel = layers.take("parallel", |group| group.parallel, built_in("\"all\""));
        let (session, isolation) = self.session(
            &mut layers,
            &Facts {
                has_session: chosen.table.session.is_some(),
                forks: chosen.table.session_forks.unwrap_or(true),
                runner: &chosen.name,
                env: &env,
                resources: &resources,
                uses_pools: !names.of_job.is_empty(),
                compat: compat.map_or(&[], Vec::as_slice),
                hooks: &hooks,
                bounds: &bounds,
            },
        );
        let chunk_size = if isolation == Isolation::Test {
            ChunkSize::Items(1)
        } else {
            chunk_size
        };
        let cache_listing = self.cache_listing(&chosen, &session, &mut layers);
        Some(GroupConfig {
            name,
            runner: runner?,
            dir,
            source: source?,
            inputs,
            cache_listing,
            workers: workers.and_then(|n| (n.0 > 0).then_some(n.0 as usize)),
            chunk_size,
            chunk_by,
            order: order.unwrap_or_default(),
            exclude,
            serial,
            parallel: parallel.unwrap_or_default(),
            session,
            one_process: None,
            isolation,
            timeout: timeout.map(|span| span.0).filter(|span| !span.is_zero()),
            tests,
            timeout_factor: self.timeout_factor,
            overrides,
            needs,
            env,
            resources,
            compat: compat.cloned().unwrap_or_default(),
            bounds,
            hooks,
            provenance: layers.into_provenance(),
        })
    }

    /// Whether the listing is kept: not where there is none, or where listing makes what the tests then run in.
    fn cache_listing(
        &mut self,
        chosen: &Chosen,
        session: &Session,
        layers: &mut Layers<'_>,
    ) -> bool {
        let at = layers.pointer("cache-listing", |group| group.cache_listing);
        let key = "cache-listing";
        let asked = layers.take(key, |group| group.cache_listing, built_in("false"));
        if asked != Some(true) {
            return false;
        }
        let table = &chosen.table;
        let is_of_program = table.list.as_ref().is_some_and(names_program);
        let why = if table.list.is_none() {
            "lists no tests: there is nothing to keep"
        } else if is_of_program {
            "asks each program for its tests, which is as fast"
        } else if matches!(table.list_format, Some(ListFormat::Cargo | ListFormat::Go)) {
            "builds the tests as it lists them"
        } else if matches!(session, Session::Shared(_)) {
            "lists them in the process that then runs them"
        } else {
            return true;
        };
        // A default may be meant for the groups with another runner.
        let own = at.filter(|pointer| !pointer.ends_with("defaults/cache-listing"));
        if let Some(pointer) = own {
            let message = format!("the runner `{}` {why}", chosen.name);
            self.problems.push(
                Problem::key(pointer, message)
                    .label("would do nothing")
                    .help("take it out".to_owned()),
            );
        }
        false
    }

    /// The group's folder, relative to the root.
    fn dir(&mut self, layers: &mut Layers<'_>) -> Option<PathBuf> {
        let at = layers.pointer("dir", |group| group.dir.as_ref());
        let Some(written) = layers.take("dir", |group| group.dir.as_ref(), built_in("\".\""))
        else {
            return Some(PathBuf::new());
        };
        let mut problem = |message: String, help: Option<String>| {
            let place = at.clone().unwrap_or_default();
            let problem = Problem::value(place, message);
            self.problems.push(problem.label("folder").help(help));
            None
        };
        if written.contains('\0') {
            return problem("a folder's name has no NUL".to_owned(), None);
        }
        let mut dir = PathBuf::new();
        for component in Path::new(written).components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) => dir.push(name),
                _ => {
                    let help = "name it relative to the folder of the manifest".to_owned();
                    let message = format!("{written:?} is not a folder below the root");
                    return problem(message, Some(help));
                }
            }
        }
        if written.is_empty() || !self.root.join(&dir).is_dir() {
            let folders = folders_near(&self.root, &dir);
            let help = did_you_mean(written, folders.iter().map(String::as_str));
            return problem(format!("there is no folder {written:?}"), help);
        }
        Some(dir)
    }

    fn source(
        &mut self,
        chosen: &Chosen,
        dir: &Path,
        layers: &mut Layers<'_>,
    ) -> Option<ItemSource> {
        let files_at = layers.pointer("files", |group| group.files.as_ref());
        let items_at = layers.pointer("items", |group| group.items.as_ref());
        if !chosen.is_command {
            if let Some(pointer) = items_at {
                let message = format!(
                    "`items` goes with `command`, not with the runner `{}`",
                    chosen.name
                );
                self.problems.push(
                    Problem::key(pointer, message)
                        .label("not used")
                        .help("name the tests' files with `files`".to_owned()),
                );
            }
            return self.files(chosen, dir, layers);
        }
        if let Some(pointer) = files_at {
            self.problems.push(
                Problem::key(pointer, "`files` goes with `runner`, not with `command`")
                    .label("not used")
                    .help(
                        "name what the command runs over with `items`, or use `runner = \"exec\"`"
                            .to_owned(),
                    ),
            );
        }
        let items = layers.take("items", |group| group.items.as_ref(), built_in("none"));
        let names_items = match &chosen.table.run {
            Some(Command::Words(words)) => words.iter().any(|word| word == "<items>"),
            Some(Command::Shell(line)) => line.contains("<items>"),
            None => items.is_some(),
        };
        let place = chosen.pointer.as_ref().map(|at| join(at, "command"));
        let Some(items) = items else {
            if names_items {
                self.problems.push(
                    Problem::value(
                        place.unwrap_or_default(),
                        "the command names items, and there are none",
                    )
                    .label("has <items>")
                    .help("add `items`, or take `<items>` out".to_owned()),
                );
            }
            return Some(ItemSource::Once);
        };
        let pointer = items_at.unwrap_or_default();
        if !names_items {
            self.problems.push(
                Problem::value(
                    place.unwrap_or_default(),
                    "the command never names its items, so every job would do the same",
                )
                .label("has no <items>")
                .help(match &chosen.table.run {
                    Some(Command::Shell(_)) => {
                        "name them, as in `for item in <items>; do …; done`, or take `items` out"
                            .to_owned()
                    }
                    _ => "add the word \"<items>\" to the command, or take `items` out".to_owned(),
                }),
            );
        }
        match items {
            Items::Listed(list) => Some(ItemSource::Listed(list.clone())),
            Items::From(table) => {
                let separator = table.separator.unwrap_or_default();
                match (&table.command, &table.file) {
                    (Some(command), None) => {
                        let place = join(&pointer, "command");
                        let own = Own::default();
                        self.command(command, Context::ListCommand, &own, Some(&place))
                            .map(|command| ItemSource::Command(command, separator))
                    }
                    (None, Some(file)) => Some(ItemSource::File(PathBuf::from(file), separator)),
                    _ => {
                        self.problems.push(
                            Problem::value(pointer, "`items` needs either `command` or `file`")
                                .label("exactly one of the two"),
                        );
                        None
                    }
                }
            }
        }
    }

    fn files(
        &mut self,
        chosen: &Chosen,
        dir: &Path,
        layers: &mut Layers<'_>,
    ) -> Option<ItemSource> {
        let preset = chosen.table.files.as_ref();
        let fallback = match preset {
            Some(files) => (format!("{files:?}"), Origin::Preset(chosen.name.clone())),
            None => built_in("[]"),
        };
        let at = layers.pointer("files", |group| group.files.as_ref());
        let files = layers.take("files", |group| group.files.as_ref(), fallback);
        if let (Some(pointer), Some([])) = (&at, files.map(Vec::as_slice)) {
            self.problems.push(
                Problem::value(pointer.clone(), "`files` is empty")
                    .label("empty")
                    .help(
                        "name files, or take it out: then the tests are those of the runner"
                            .to_owned(),
                    ),
            );
        }
        let files = match (files.or(preset), &chosen.table.list) {
            (Some(files), _) => files.clone(),
            (None, Some(list)) if !names_program(list) => Vec::new(),
            (None, _) => {
                let own = layers
                    .list
                    .iter()
                    .find(|layer| layer.table.starts_with("groups."));
                let message = format!(
                    "the runner `{}` needs `files`: it can't find tests by itself",
                    chosen.name
                );
                let pointer = own.map(|layer| layer.pointer.clone()).unwrap_or_default();
                self.problems.push(
                    Problem::key(pointer, message)
                        .label("has no `files`")
                        .help("add for example `files = [\"tests/*.sh\"]`".to_owned()),
                );
                return None;
            }
        };
        let files = self.patterns(dir, &files, at.as_deref());
        let exclude = layers.find(|group| group.exclude.as_ref());
        let exclude = exclude.map_or(&[][..], |(texts, _)| texts);
        // Those that are tags, ids or nothing at all are looked at with the tests.
        let patterns = exclude
            .iter()
            .filter_map(|text| Pattern::below(dir, text).ok());
        Some(ItemSource::Files {
            files,
            exclude: patterns.collect(),
        })
    }

    fn patterns(&mut self, dir: &Path, texts: &[String], pointer: Option<&str>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            patterns.extend(self.pattern(dir, text, pointer, index));
        }
        patterns
    }

    fn pattern(
        &mut self,
        dir: &Path,
        text: &str,
        pointer: Option<&str>,
        index: usize,
    ) -> Option<Pattern> {
        match Pattern::below(dir, text) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let place = join(pointer.unwrap_or_default(), &index.to_string());
                self.problems.push(
                    Problem::value(place, format!("{text:?} is no pattern: {why}"))
                        .label("pattern"),
                );
                None
            }
        }
    }

    fn matchers(&mut self, texts: &[String], pointer: &str) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            // What no pattern can be may still be an id: `test_x[2**3]`.
            let is_id = || text.contains("::") || text.ends_with(']');
            let by = match text.strip_prefix("tag:") {
                Some(tag) => Some(By::Tag(tag.to_owned())),
                None if Pattern::new(text).is_err() && is_id() => Some(By::Id),
                None => self
                    .pattern(Path::new(""), text, Some(pointer), index)
                    .map(By::Pattern),
            };
            matchers.extend(by.map(|by| Matcher {
                written: text.clone(),
                place: join(pointer, &index.to_string()),
                by,
            }));
        }
        matchers
    }

    fn exclude(&mut self, layers: &mut Layers<'_>) -> Vec<Matcher> {
        let at = layers.pointer("exclude", |group| group.exclude.as_ref());
        let texts = layers.take("exclude", |group| group.exclude.as_ref(), built_in("[]"));
        self.matchers(texts.map_or(&[], Vec::as_slice), &at.unwrap_or_default())
    }

    fn serial(&mut self, layers: &mut Layers<'_>) -> SerialTests {
        let at = layers.pointer("serial", |group| group.serial.as_ref());
        match layers.take("serial", |group| group.serial.as_ref(), built_in("false")) {
            None => SerialTests::All(false),
            Some(Serial::Group(all)) => SerialTests::All(*all),
            Some(Serial::Matching(texts)) => {
                SerialTests::Matching(self.matchers(texts, &at.unwrap_or_default()))
            }
        }
    }

    fn tests(
        &mut self,
        layers: &mut Layers<'_>,
        names: &Names,
        results: ResultFormat,
    ) -> TestSettings {
        let timeout = layers.take("timeout", |group| group.timeout, built_in("\"60s\""));
        let slow_after = layers.take("slow-after", |group| group.slow_after, built_in("\"60s\""));
        let grace = layers.take("grace", |group| group.grace, built_in("\"5s\""));
        let at = layers.pointer("on-timeout", |group| group.on_timeout.as_ref());
        let command = layers.take(
            "on-timeout",
            |group| group.on_timeout.as_ref(),
            built_in("[]"),
        );
        let on_timeout =
            command.and_then(|command| self.on_timeout(command, names, &at.unwrap_or_default()));
        let retries = layers.take("retries", |group| group.retries, built_in("0"));
        let at = layers.pointer("backoff", |group| group.backoff);
        let backoff = layers.take("backoff", |group| group.backoff, built_in("0"));
        let backoff = backoff.map(|backoff| self.backoff(backoff, &at.unwrap_or_default()));
        let flaky = layers.take("flaky", |group| group.flaky, built_in("\"pass\""));
        let exclusive = layers.take("exclusive", |group| group.exclusive, built_in("false"));
        let slots = layers.take("slots", |group| group.slots, built_in("1"));
        let locks = layers.take("locks", |group| group.locks.as_ref(), built_in("[]"));
        let at = layers.pointer("uses", |group| group.uses.as_ref());
        let uses = layers.take("uses", |group| group.uses.as_ref(), built_in("{}"));
        let uses = self.uses(uses, &at.unwrap_or_default());
        let at = layers.pointer("expect", |group| group.expect);
        let expect = layers.take("expect", |group| group.expect, built_in("none"));
        self.expect(expect, results, &at.unwrap_or_default());
        TestSettings {
            timeout: self.limit(timeout.unwrap_or(Span(TIMEOUT))),
            slow_after: self.limit(slow_after.unwrap_or(Span(SLOW_AFTER))),
            grace: grace.map_or(GRACE, |span| span.0),
            stop_signal: StopSignal::default(),
            on_timeout,
            retries: retries.map_or(0, |n| n.0),
            backoff: backoff.unwrap_or_default(),
            flaky: flaky.unwrap_or_default(),
            exclusive: exclusive.unwrap_or(false),
            slots: slots.map_or(1, Slots::count),
            serial: false,
            locks: locks.cloned().unwrap_or_default(),
            uses,
            expect,
        }
    }

    fn expect(&mut self, expect: Option<Expect>, results: ResultFormat, pointer: &str) {
        if matches!(expect, Some(Expect::Exit(_))) && results != ResultFormat::Exit {
            self.problems.push(
                Problem::value(pointer, "this runner's results are not exit codes")
                    .label("no exit code of a test is known")
                    .help("write `expect = \"fail\"`".to_owned()),
            );
        }
    }

    fn overrides(
        &mut self,
        layers: &Layers<'_>,
        names: &Names,
        results: ResultFormat,
    ) -> Vec<OverrideConfig> {
        let mut list = Vec::new();
        // The weakest table's first: later ones win.
        for layer in layers.list.iter().rev() {
            for (index, entry) in layer.group.overrides.iter().flatten().enumerate() {
                let pointer = join(&layer.at("overrides"), &index.to_string());
                self.expect(entry.expect, results, &join(&pointer, "expect"));
                if entry.sets_nothing() {
                    self.problems.push(
                        Problem::key(pointer.clone(), "the override sets nothing")
                            .label("only `match`")
                            .help(
                                "add what is different for these tests, such as `timeout = \"5m\"`"
                                    .to_owned(),
                            ),
                    );
                }
                list.push(self.override_config(entry, names, &pointer));
            }
        }
        list
    }

    fn override_config(
        &mut self,
        entry: &Override,
        names: &Names,
        pointer: &str,
    ) -> OverrideConfig {
        OverrideConfig {
            matching: self.matchers(&entry.matching.0, &join(pointer, "match")),
            timeout: entry.timeout.map(|timeout| self.limit(timeout)),
            slow_after: entry.slow_after.map(|span| self.limit(span)),
            grace: entry.grace.map(|span| span.0),
            stop_signal: entry.stop_signal,
            on_timeout: entry
                .on_timeout
                .as_ref()
                .map(|command| self.on_timeout(command, names, &join(pointer, "on-timeout"))),
            retries: entry.retries.map(|n| n.0),
            backoff: entry
                .backoff
                .map(|backoff| self.backoff(backoff, &join(pointer, "backoff"))),
            flaky: entry.flaky,
            exclusive: entry.exclusive,
            slots: entry.slots.map(Slots::count),
            locks: entry.locks.clone(),
            uses: self.uses_of_override(entry, pointer),
            expect: entry.expect,
        }
    }

    fn env(&mut self, layers: &mut Layers<'_>, names: &Names) -> Vec<(String, Template)> {
        let own = Own {
            single: names.all(),
            ..Own::default()
        };
        self.map(
            layers,
            "env",
            |group| group.env.as_ref(),
            |text| &text.0,
            &own,
            |name| {
                if name.is_empty() || name.contains(['=', '\0']) {
                    Some("a variable's name is not empty and has no `=`")
                } else if name.starts_with("ORCHESTRATE_") {
                    Some("variables that begin with ORCHESTRATE_ are set by `orchestrate` itself")
                } else {
                    None
                }
            },
        )
    }

    fn resources(&mut self, layers: &mut Layers<'_>) -> Vec<(String, Template)> {
        self.map(
            layers,
            "resources",
            |group| group.resources.as_ref(),
            |text| text,
            &Own::default(),
            wrong_name,
        )
    }

    /// A map of templates, merged key by key over the layers.
    fn map<'a, T: 'a>(
        &mut self,
        layers: &mut Layers<'a>,
        key: &str,
        get: impl Fn(&'a Group) -> Option<&'a IndexMap<String, T>>,
        text: impl Fn(&'a T) -> &'a String,
        own: &Own,
        wrong: impl Fn(&str) -> Option<&'static str>,
    ) -> Vec<(String, Template)> {
        let mut merged: IndexMap<String, (usize, &'a String)> = IndexMap::new();
        for (index, layer) in layers.list.iter().enumerate().rev() {
            for (name, value) in get(layer.group).into_iter().flatten() {
                merged.insert(name.clone(), (index, text(value)));
            }
        }
        let mut list = Vec::new();
        for (name, (index, text)) in merged {
            if self.is_hopeless() {
                break;
            }
            let pointer = join(&layers.list[index].at(key), &name);
            layers.note_entry(index, key, &name);
            if let Some(why) = wrong(&name) {
                let message = format!("`{name}` can't be a name in `{key}`");
                self.problems.push(
                    Problem::key(pointer, message)
                        .label("name")
                        .help(why.to_owned()),
                );
                continue;
            }
            if let Some(template) = self.template(text, Context::Value, own, Some(&pointer)) {
                list.push((name, template));
            }
        }
        list
    }
}
