//! From a job and its worker to the request: the command, the environment, the folders.

use std::ffi::OsString;

use super::environment::Environment;
use super::granted;
use super::job::Job;
use super::on_timeout;
use super::values::{JobValues, Variables};
use crate::manifest::config::{GroupConfig, Hook};
use crate::manifest::model::ResultFormat;
use crate::manifest::template::{Template, Unset};
use crate::plan::shard::Shard;
use crate::plan::{Item, Reading, Rules};
use crate::runner::{compat, list, parts};
use crate::worker::frame::{Clock, JobRequest, Leftovers};
use crate::worker::inherited;

/// What is told of a job besides its templates.
pub struct Place {
    /// The slot among all jobs that run.
    pub global_slot: usize,
    /// The most jobs of the group at once.
    pub workers: usize,
    /// The run's id.
    pub run: String,
    /// Which shard of how many, if it is one.
    pub shard: Option<Shard>,
    /// Whether output is captured.
    pub capture: bool,
}

/// Builds the request.
///
/// # Errors
/// A variable that a template names is not set.
pub fn request(
    group: &GroupConfig,
    job: &Job,
    values: &JobValues<'_>,
    place: &Place,
    environment: &Environment<'_>,
    set: &Variables,
) -> Result<JobRequest, Unset> {
    let items = values.items_of_chunk();
    let reading = Reading::of(&group.runner, values.launch);
    let (words, variables) = match values.launch {
        Some(launch) if launch.reading.is_some() => (launch.program.clone(), Vec::new()),
        _ => list::words(&group.runner.run, values, &items)?,
    };
    let mut env = environment.of(group, values, place)?;
    env.extend(variables);
    env.extend(set.iter().cloned());
    env.extend(parts::variable(values.discovery, group));
    if group.one_process.is_some() {
        env.push("ORCHESTRATE_ONE_PROCESS".as_ref(), "1".as_ref());
    }
    let rules = values.launch.and_then(|launch| launch.rules.as_deref());
    let has_report = reading.results != ResultFormat::Exit && rules.is_none();
    if has_report {
        env.push("ORCHESTRATE_REPORT".as_ref(), values.report.as_os_str());
    }
    let root = &values.discovery.root;
    let own = group.folder(root);
    let words = list::absolute_program(words, &own, root);
    let folder = values.launch.map_or(own, |launch| launch.folder.clone());
    let clock = clock(group, job, reading);
    let tests = u32::try_from(job.items.len()).unwrap_or(u32::MAX);
    Ok(JobRequest {
        words,
        folder: folder.into(),
        env,
        common: environment.common.clone(),
        env_only: group.bounds.env_only.clone(),
        env_without: {
            let of_launch = values.launch.into_iter().flat_map(|launch| &launch.without);
            let runner = group.runner.env_without.iter();
            runner.chain(of_launch).cloned().collect()
        },
        tmp: values.tmp.clone().into(),
        keep_tmp: group.bounds.keep_tmp,
        report: has_report.then(|| values.report.clone().into()),
        output_is_report: rules.is_some_and(Rules::read_output),
        stdout: reading
            .stdout_is_report
            .then(|| values.report.clone().into()),
        // The timeout is one test's. Where the report is read only at the end, the job has the time of all of its tests.
        timeout: job.settings.timeout.map(|timeout| {
            if clock == Clock::Job {
                timeout.saturating_mul(tests)
            } else {
                timeout
            }
        }),
        clock,
        on_timeout: job
            .settings
            .on_timeout
            .as_deref()
            .map(|template| on_timeout::command(template, values)),
        grace: job.settings.grace,
        stop_signal: job.settings.stop_signal,
        capture: place.capture,
        output_limit: group.bounds.output_limit,
        output_max: group.bounds.output_max,
        has_tmp: !group.hooks.of(Hook::BeforeJob).is_empty(),
        leave_tmp: !group.hooks.of(Hook::AfterJob).is_empty(),
        leftovers: if group.hooks.of(Hook::AfterJob).is_empty() {
            Leftovers::End
        } else {
            Leftovers::EndOwn
        },
        limits: group.bounds.limits.clone(),
        level: group.bounds.level,
        output: None,
    })
}

/// How a job's report says that a test begins or ends.
fn clock(group: &GroupConfig, job: &Job, reading: Reading) -> Clock {
    // A file of TAP is one test, unless its points are.
    let points_are_tests = group.runner.holds_tests || job.items.len() > 1;
    // Doc tests are compiled before the first one runs.
    let is_whole = |item: &Item| item.launch.as_ref().is_some_and(|launch| launch.whole);
    match reading.results {
        ResultFormat::Exit
        | ResultFormat::Junit
        | ResultFormat::GtestXml
        | ResultFormat::Ctest
        | ResultFormat::LibtestText => Clock::Job,
        ResultFormat::Tap if !points_are_tests => Clock::Job,
        ResultFormat::Libtest if job.items.iter().any(is_whole) => Clock::Job,
        ResultFormat::Libtest => Clock::Libtest,
        ResultFormat::Tap => Clock::Tap,
        ResultFormat::Bats => Clock::Bats,
        ResultFormat::Events => Clock::Events,
        ResultFormat::GoTest => Clock::GoTest,
        ResultFormat::GoJson => Clock::GoJson,
    }
}

/// What a group's jobs and hooks find in their environment, as far as its values are known to `known`.
///
/// # Errors
/// A variable that a template names is not set.
pub fn environment(
    group: &GroupConfig,
    values: &JobValues<'_>,
    place: &Place,
    known: impl Fn(&Template) -> bool,
) -> Result<Vec<(OsString, OsString)>, Unset> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    for (name, value) in of_shard(group, place).chain(set_by_run(group, place)) {
        env.push((name.into(), value.into()));
    }
    for (name, template) in group.env.iter().filter(|(_, template)| known(template)) {
        env.push((name.into(), template.expand(values)?));
    }
    for (name, template) in group.resources.iter().filter(|(_, value)| known(value)) {
        env.push((
            list::resource_variable(name).into(),
            template.expand(values)?,
        ));
    }
    let granted = granted::variables(values.granted.into_iter().flatten());
    env.extend(granted.map(|(name, names)| (name.into(), names.clone())));
    env.extend(own_variables(group, values, place));
    env.extend(compat::variables(
        &group.compat,
        values.slot,
        place.workers,
        &place.run,
        &values.tmp,
    ));
    Ok(env)
}

/// What every job is told of itself.
pub fn own_variables(
    group: &GroupConfig,
    values: &JobValues<'_>,
    place: &Place,
) -> Vec<(OsString, OsString)> {
    let of_worker = of_worker(group, values, place);
    of_worker
        .into_iter()
        .chain(of_job(values, place))
        .map(|(name, value)| (name.into(), value))
        .collect()
}

/// The part of it that is the same for all jobs of a worker.
pub fn of_worker(
    group: &GroupConfig,
    values: &JobValues<'_>,
    place: &Place,
) -> [(&'static str, OsString); 5] {
    [
        ("ORCHESTRATE_RUN_ID", place.run.clone().into()),
        ("ORCHESTRATE_GROUP", group.name.to_string().into()),
        ("ORCHESTRATE_PID", values.pid.to_string().into()),
        ("ORCHESTRATE_SLOT", values.slot.to_string().into()),
        ("ORCHESTRATE_WORKERS", place.workers.to_string().into()),
    ]
}

/// Which shard this is of how many, in Bazel's words, which count from 0
/// (<https://bazel.build/reference/test-encyclopedia#initial-conditions>).
pub fn shard_variables(shard: Option<Shard>) -> impl Iterator<Item = (&'static str, String)> {
    shard.into_iter().flat_map(|shard| {
        [
            ("TEST_SHARD_INDEX", (shard.number() - 1).to_string()),
            ("TEST_TOTAL_SHARDS", shard.of().to_string()),
        ]
    })
}

/// The same, without the names that the group gives values of its own: a program that would divide its tests once more can be
/// kept from that.
pub fn of_shard(
    group: &GroupConfig,
    place: &Place,
) -> impl Iterator<Item = (&'static str, String)> {
    let is_own = |name: &str| {
        group
            .env
            .iter()
            .chain(&group.runner.env)
            .any(|(own, _)| own == name)
    };
    shard_variables(place.shard).filter(move |(name, _)| !is_own(name))
}

/// The names of the variables that the run sets and that are not called `ORCHESTRATE_*`: a run within the job takes them away.
pub fn set_by_run(
    group: &GroupConfig,
    place: &Place,
) -> impl Iterator<Item = (&'static str, String)> {
    let compat = compat::variables(&group.compat, 0, 1, "", "".as_ref());
    let compat = compat
        .into_iter()
        .map(|(name, _)| name.to_string_lossy().into_owned());
    let names: Vec<String> = of_shard(group, place)
        .map(|(name, _)| name.to_owned())
        .chain(compat)
        .collect();
    (!names.is_empty())
        .then(|| (inherited::SET_BY_RUN, names.join(",")))
        .into_iter()
}

/// The rest.
pub fn of_job(values: &JobValues<'_>, place: &Place) -> [(&'static str, OsString); 5] {
    let global_slot = place.global_slot.to_string();
    [
        ("ORCHESTRATE_GLOBAL_SLOT", global_slot.into()),
        ("ORCHESTRATE_ATTEMPT", values.attempt.to_string().into()),
        (
            "ORCHESTRATE_REPETITION",
            values.repetition.to_string().into(),
        ),
        ("ORCHESTRATE_TMP", values.tmp.clone().into()),
        ("TMPDIR", values.tmp.clone().into()),
    ]
}
