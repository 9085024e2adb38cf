//! A group's runner: a preset, a runner of the manifest's own, or the group's command.

use std::time::Duration;

use indexmap::IndexSet;

use super::group::Names;
use super::layers::Layers;
use super::{Document, Resolver};
use crate::manifest::config::{CommandTemplate, Origin, Runner, Select, SettingValue};
use crate::manifest::model::{
    Command, Group, ListFormat, ResultFormat, RunnerTable, Setting, Stdout, Tests,
};
use crate::manifest::problem::Problem;
use crate::manifest::source::join;
use crate::manifest::template::{Context, Own, Template, TemplateError};
use crate::runner::preset;
use crate::suggest::{did_you_mean, listed};

/// What a group runs: the runner's table, and where its commands are written, for messages.
pub struct Chosen {
    /// The runner's name.
    pub name: String,
    /// Its table.
    pub table: RunnerTable,
    /// The pointer of the table; `None` for a preset, whose templates a test checks.
    pub pointer: Option<String>,
    /// Whether it is the group's own command.
    pub is_command: bool,
}

/// All runners there are.
fn runner_names<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    let mut names: Vec<&str> = preset::names().collect();
    let own = document.manifest.runners.iter().flatten();
    names.extend(own.map(|(name, _)| name.as_str()));
    names
}

impl Resolver<'_> {
    /// The runner that the strongest layer with `runner` or `command` names.
    pub(super) fn choose_runner(&mut self, layers: &mut Layers<'_>) -> Option<Chosen> {
        let has = |group: &Group| group.runner.is_some() || group.command.is_some();
        let Some(index) = layers.list.iter().position(|layer| has(layer.group)) else {
            let pointer = layers.list.last()?.pointer.clone();
            let own = layers
                .list
                .iter()
                .find(|layer| layer.table.starts_with("groups."));
            self.problems.push(
                Problem::key(
                    own.map_or(pointer, |layer| layer.pointer.clone()),
                    "a group needs a `runner` or a `command`",
                )
                .label("says neither")
                .help(format!(
                    "add `runner = \"\u{2026}\"` ({}) or `command = [\u{2026}]`",
                    listed(runner_names(self.document))
                )),
            );
            return None;
        };
        let layer = layers.list[index].clone();
        match (&layer.group.runner, &layer.group.command) {
            (Some(_), Some(_)) => {
                self.problems.push(
                    Problem::key(
                        layer.at("command"),
                        "`command` and `runner` exclude each other",
                    )
                    .label("a runner brings its own command")
                    .help(
                        "keep `runner`, or describe your own kind of test in [runners.NAME]"
                            .to_owned(),
                    ),
                );
                None
            }
            (Some(name), None) => {
                let pointer = layer.at("runner");
                layers.take(
                    "runner",
                    |group| group.runner.as_ref(),
                    (String::new(), Origin::BuiltIn),
                );
                self.named_runner(name, &pointer)
            }
            (None, command) => {
                layers.take(
                    "command",
                    |group| group.command.as_ref(),
                    (String::new(), Origin::BuiltIn),
                );
                Some(Chosen {
                    name: "command".into(),
                    table: RunnerTable {
                        run: command.clone(),
                        ..RunnerTable::default()
                    },
                    pointer: Some(layer.pointer.clone()),
                    is_command: true,
                })
            }
        }
    }

    fn named_runner(&mut self, name: &str, place: &str) -> Option<Chosen> {
        let own = self.document.manifest.runners.as_ref();
        if let Some(table) = own.and_then(|runners| runners.get(name)) {
            return Some(Chosen {
                name: name.to_owned(),
                table: table.clone(),
                pointer: Some(join("/runners", name)),
                is_command: false,
            });
        }
        if let Some(table) = preset::find(name) {
            return Some(Chosen {
                name: name.to_owned(),
                table,
                pointer: None,
                is_command: false,
            });
        }
        let names = runner_names(self.document);
        self.problems.push(
            Problem::value(place, format!("there is no runner `{name}`"))
                .label(format!("one of {}", listed(names.iter().copied())))
                .help(did_you_mean(name, names)),
        );
        None
    }

    /// Fills a runner with a group's settings and parses its templates.
    pub(super) fn build_runner(
        &mut self,
        chosen: &Chosen,
        layers: &mut Layers<'_>,
        names: &Names,
    ) -> Option<Runner> {
        let table = &chosen.table;
        let settings = self.settings(chosen, layers);
        let mut own = Own {
            single: names.all(),
            lists: IndexSet::new(),
            items_are_one: table.item_separator.is_some(),
            tests_are_one: table.select_separator.is_some(),
        };
        let mut parsed = Vec::new();
        for (name, setting, pointer) in settings {
            match &setting {
                Setting::List(_) => own.lists.insert(name.clone()),
                _ => own.single.insert(name.clone()),
            };
            let template = |text: &String, resolver: &mut Self| {
                let own = Own::default();
                let place = pointer.as_deref();
                resolver.template(text, Context::Setting, &own, place)
            };
            let value = match &setting {
                Setting::Value(text) => SettingValue::One(template(text, self)?),
                Setting::List(list) => SettingValue::Many(
                    list.iter()
                        .filter_map(|text| template(text, self))
                        .collect(),
                ),
                Setting::FirstOf(list) => SettingValue::FirstOf(
                    list.iter()
                        .filter_map(|text| template(text, self))
                        .collect(),
                ),
            };
            parsed.push((name, value));
        }
        let pointer = chosen.pointer.as_deref();
        let at = |key: &str| pointer.map(|pointer| join(pointer, key));
        let run_key = if chosen.is_command { "command" } else { "run" };
        let Some(run) = &table.run else {
            self.problems.push(
                Problem::key(
                    pointer.unwrap_or_default(),
                    "a runner needs a `run` command",
                )
                .label("has none"),
            );
            return None;
        };
        let run = self.command(run, Context::RunCommand, &own, at(run_key).as_deref());
        let select = self.select(table, &own, at("select").as_deref());
        // A session's host is there before its jobs.
        own.single.retain(|name| !names.of_job.contains(name));
        let session = table
            .session
            .as_ref()
            .map(|session| self.command(session, Context::Session, &own, at("session").as_deref()));
        if table.session.is_some() {
            let wrong = [
                (
                    "list-format",
                    table.list_format != Some(ListFormat::Jsonl),
                    "a session lists as JSON lines: `list-format = \"jsonl\"`",
                ),
                (
                    "results",
                    table.results != Some(ResultFormat::Events),
                    "a session's results are events: `results = \"events\"`",
                ),
            ];
            for (key, is_wrong, message) in wrong {
                if let (true, Some(place)) = (is_wrong, pointer) {
                    let place = if self.document.value.pointer(&join(place, key)).is_some() {
                        join(place, key)
                    } else {
                        join(place, "session")
                    };
                    self.problems
                        .push(Problem::key(place, message).label("does not go with `session`"));
                }
            }
        }
        let finish = table
            .finish
            .as_ref()
            .map(|finish| self.command(finish, Context::Session, &own, at("finish").as_deref()));
        // A listing runs before there is a worker, so a resource of one is not known to it.
        own.single.retain(|name| !names.of_worker.contains(name));
        let list = table
            .list
            .as_ref()
            .map(|list| self.command(list, Context::ListCommand, &own, at("list").as_deref()));
        let report = table
            .report
            .as_ref()
            .map(|text| self.template(text, Context::Value, &own, at("report").as_deref()));
        self.check_results(chosen);
        let mut env = Vec::new();
        for (name, text) in table.env.iter().flatten() {
            let place = at("env").map(|pointer| join(&pointer, name));
            let value = self.template(&text.0, Context::Value, &own, place.as_deref())?;
            env.push((name.clone(), value));
        }
        Some(Runner {
            name: chosen.name.clone(),
            list: match list {
                Some(list) => Some(list?),
                None => None,
            },
            list_format: table.list_format.unwrap_or_default(),
            run: run?,
            item_separator: table.item_separator.clone(),
            item_escape: table.item_escape,
            select,
            session: match session {
                Some(session) => Some(session?),
                None => None,
            },
            session_forks: table.session_forks.unwrap_or(true),
            finish: match finish {
                Some(finish) => Some(finish?),
                None => None,
            },
            results: table.results.unwrap_or_default(),
            stdout_is_report: table.stdout == Some(Stdout::Report),
            report: match report {
                Some(report) => Some(report?),
                None => None,
            },
            holds_tests: table.tests == Some(Tests::Reported),
            skip_exit: table.skip_exit.clone().unwrap_or_default(),
            start_cost: table.start_cost.map_or(Duration::ZERO, |span| span.0),
            settings: parsed,
            env,
            env_without: table.env_without.iter().flatten().map(Into::into).collect(),
        })
    }

    /// How a runner runs only some of the tests in a file.
    fn select(&mut self, table: &RunnerTable, own: &Own, place: Option<&str>) -> Option<Select> {
        let words = Command::Words(table.select.clone()?);
        let CommandTemplate::Words(words) = self.command(&words, Context::Select, own, place)?
        else {
            return None;
        };
        Some(Select {
            words,
            separator: table.select_separator.clone(),
            escape: table.select_escape,
        })
    }

    /// Keys of a runner that would do nothing, or say two things.
    fn check_results(&mut self, chosen: &Chosen) {
        let table = &chosen.table;
        let results = table.results.unwrap_or_default();
        let is_report = table.stdout == Some(Stdout::Report);
        let mut problem = |key: &str, message: &str, help: &str| {
            let pointer = join(chosen.pointer.as_deref().unwrap_or_default(), key);
            self.problems.push(
                Problem::key(pointer, message)
                    .label("would do nothing")
                    .help(help.to_owned()),
            );
        };
        if results == ResultFormat::Exit {
            let message = "results are the exit code, so there is no report";
            let help = "say with `results` what the report is written in";
            for (key, is_set) in [("stdout", is_report), ("report", table.report.is_some())] {
                if is_set {
                    problem(key, message, help);
                }
            }
        }
        let names_tests = !matches!(results, ResultFormat::Exit | ResultFormat::Libtest);
        if table.tests == Some(Tests::Reported) {
            if !names_tests {
                let message = "an item holds tests only where a report names them";
                problem("tests", message, "take it out");
            }
            let format = table.list_format.unwrap_or_default();
            if !matches!(format, ListFormat::Lines | ListFormat::Jsonl) {
                let message = "this `list-format` names single tests, so no item holds tests";
                problem("tests", message, "take it out");
            }
        }
        let names_select = match &table.run {
            Some(Command::Words(words)) => words.iter().any(|word| word == "<select>"),
            _ => false,
        };
        if table.select.is_some() && !names_select {
            let help = "add the word \"<select>\" to `run`, where these words are to stand";
            problem("select", "`run` never names `<select>`", help);
        }
        if table.select.is_some() && table.tests != Some(Tests::Reported) {
            let help = "take it out: `<items>` are the tests";
            problem("select", "items hold no tests", help);
        }
        for (key, is_set) in [
            ("select-separator", table.select_separator.is_some()),
            ("select-escape", table.select_escape.is_some()),
        ] {
            if is_set && table.select.is_none() {
                problem(
                    key,
                    "there is no `select`",
                    "add the words that select tests",
                );
            }
        }
        if table.session_forks.is_some() && table.session.is_none() {
            problem(
                "session-forks",
                "there is no `session`",
                "add the command that starts its host",
            );
        }
        if table.list_format.is_some() && table.list.is_none() {
            problem(
                "list-format",
                "there is no `list`",
                "add the command that lists the tests",
            );
        }
        if let Some(report) = &table.report {
            if is_report {
                problem(
                    "report",
                    "standard output is the report already",
                    "take one of them out",
                );
            } else if !report.starts_with("<tmp>/") {
                let help = "what the job leaves elsewhere may be another job's, or of yesterday: begin with `<tmp>/`";
                problem("report", "a report is in the job's temporary folder", help);
            }
        }
    }

    /// The settings of a runner: its defaults, with what the layers' `with` say.
    fn settings(
        &mut self,
        chosen: &Chosen,
        layers: &mut Layers<'_>,
    ) -> Vec<(String, Setting, Option<String>)> {
        let empty = indexmap::IndexMap::new();
        let known = chosen.table.settings.as_ref().unwrap_or(&empty);
        for layer in &layers.list {
            for name in layer.group.settings.iter().flat_map(|map| map.keys()) {
                // A default may be meant for the groups with another runner.
                let shared = layer.table.ends_with("defaults");
                if !known.contains_key(name) && !shared {
                    let names: Vec<_> = known.keys().map(String::as_str).collect();
                    let what = match names.as_slice() {
                        [] => "it has no settings".to_owned(),
                        _ => format!("it has {}", listed(names.iter().copied())),
                    };
                    self.problems.push(
                        Problem::key(
                            join(&layer.at("with"), name),
                            format!("the runner `{}` has no setting `{name}`", chosen.name),
                        )
                        .label(what)
                        .help(did_you_mean(name, names)),
                    );
                }
            }
        }
        let mut settings = Vec::new();
        for (name, default) in known {
            let index = layers.list.iter().position(|layer| {
                let with = layer.group.settings.as_ref();
                with.is_some_and(|with| with.contains_key(name))
            });
            let written = index.and_then(|index| {
                let layer = &layers.list[index];
                let value = layer.group.settings.as_ref()?.get(name)?.clone();
                Some((index, value, join(&layer.at("with"), name)))
            });
            let Some((index, mut value, pointer)) = written else {
                let shown = match default {
                    Setting::Value(text) => format!("{text:?}"),
                    Setting::List(list) => format!("{list:?}"),
                    Setting::FirstOf(list) => format!("{{ first-of = {list:?} }}"),
                };
                layers.note(
                    format!("with.{name}"),
                    (shown, Origin::Preset(chosen.name.clone())),
                );
                let pointer = chosen
                    .pointer
                    .as_ref()
                    .map(|at| join(&join(at, "settings"), name));
                settings.push((name.clone(), default.clone(), pointer));
                continue;
            };
            layers.note_entry(index, "with", name);
            // A single word for a list of arguments is a list of one.
            if let (Setting::List(_), Setting::Value(word)) = (default, &value) {
                value = Setting::List(vec![word.clone()]);
            }
            if let (Setting::Value(_) | Setting::FirstOf(_), Setting::List(_)) = (default, &value) {
                self.problems.push(
                    Problem::value(pointer.clone(), format!("`{name}` is one value"))
                        .label("an array"),
                );
            }
            settings.push((name.clone(), value, Some(pointer)));
        }
        settings
    }

    /// Parses a command's templates; `None` if there was a problem.
    pub(super) fn command(
        &mut self,
        command: &Command,
        context: Context,
        own: &Own,
        pointer: Option<&str>,
    ) -> Option<CommandTemplate> {
        match command {
            Command::Shell(line) => {
                let template = self.template(line, context, own, pointer)?;
                Some(CommandTemplate::Shell(template))
            }
            Command::Words(words) => {
                let mut templates = Vec::new();
                for (index, word) in words.iter().enumerate() {
                    let place = pointer.map(|pointer| join(pointer, &index.to_string()));
                    let template = self.template(word, context, own, place.as_deref())?;
                    if let Err(error) = template.check_word(own) {
                        self.template_problem(error, place.as_deref());
                        return None;
                    }
                    templates.push(template);
                }
                if words.first().is_some_and(String::is_empty) {
                    let place = pointer.unwrap_or_default();
                    self.problems
                        .push(Problem::value(place, "a command's program is empty").label("empty"));
                }
                Some(CommandTemplate::Words(templates))
            }
        }
    }

    /// Parses a template; a problem where it is none.
    pub(super) fn template(
        &mut self,
        text: &str,
        context: Context,
        own: &Own,
        pointer: Option<&str>,
    ) -> Option<Template> {
        if text.contains('\0') {
            let problem =
                Problem::value(pointer.unwrap_or_default(), "a NUL can't be in an argument");
            self.problems.push(problem);
            return None;
        }
        match Template::parse(text, context, own) {
            Ok(template) => Some(template),
            Err(error) => {
                self.template_problem(error, pointer);
                None
            }
        }
    }

    fn template_problem(&mut self, error: TemplateError, pointer: Option<&str>) {
        let of_pool = self.about_pools(&error.message);
        self.problems.push(
            Problem::value(pointer.unwrap_or_default(), error.message)
                .label("template")
                .help(of_pool.unwrap_or(error.help)),
        );
    }
}
