//! From the current folder and the arguments to a configuration and a selection.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::args::{OrderName, ScheduleArguments, SelectArguments, WorkerNumber};
use super::environment;
use super::error::CliError;
use super::{exit, say};
use crate::git;
use crate::history::Folder;
use crate::manifest::config::Origin;
use crate::manifest::load::{self, FILE_NAME, line_of};
use crate::manifest::model::{Factor, Order};
use crate::manifest::pattern::Pattern;
use crate::manifest::source::Source;
use crate::manifest::{Choices, Config, detect};
use crate::plan::{Exclusion, Expression, Place, Selection, Selector};
use crate::report::{Clean, one_line};
use crate::run::{Asked, Run};
use crate::runner::Unclaimed;
use crate::suggest::did_you_mean;

/// The current folder.
pub fn here() -> Result<PathBuf, CliError> {
    env::current_dir()
        .map_err(|error| CliError::System(format!("there is no current folder: {error}")))
}

/// What the arguments of `run` say of every group.
#[derive(Default)]
pub struct Wishes {
    /// `-n`, `--order` and `--seed`.
    pub schedule: ScheduleArguments,
    /// `--timeout-multiplier`.
    pub timeout_multiplier: Option<Factor>,
}

/// What timeouts are multiplied with, and who says so.
fn timeout_multiplier(wishes: &Wishes) -> Result<Option<(Factor, Origin)>, CliError> {
    if let Some(factor) = wishes.timeout_multiplier {
        return Ok(Some((factor, Origin::CommandLine("--timeout-multiplier"))));
    }
    let factor = environment::timeout_multiplier()?;
    Ok(factor.map(|factor| (factor, Origin::Environment(environment::TIMEOUT_MULTIPLIER))))
}

/// The number of workers that is asked for, and by what.
fn workers(wishes: &Wishes) -> Result<Option<(u32, Origin)>, CliError> {
    let asked = match wishes.schedule.workers {
        Some(number) => Some((number, Origin::CommandLine("-n"))),
        None => environment::workers()?
            .map(|number| (number, Origin::Environment(environment::WORKERS))),
    };
    let Some((number, origin)) = asked else {
        return Ok(None);
    };
    let number = match number {
        WorkerNumber::Number(number) => number,
        WorkerNumber::Percent(share) => {
            let cores = u64::try_from(crate::machine::cores()).unwrap_or(1);
            let number = (cores * u64::from(share)).div_ceil(100);
            u32::try_from(number).unwrap_or(u32::MAX)
        }
    };
    let most = crate::manifest::model::Workers::MOST;
    if number > most {
        return Err(CliError::usage(
            format!("{number} workers ({origin}) are more than {most}"),
            None,
        ));
    }
    Ok(Some((number, origin)))
}

/// The order that is asked for, and by what: a seed asks for a random one.
fn order(wishes: &Wishes) -> Result<Option<(Order, Origin)>, CliError> {
    let order = wishes.schedule.order.map(|order| match order {
        OrderName::Smart => Order::Smart,
        OrderName::Listed => Order::Listed,
        OrderName::Random => Order::Random,
    });
    match (order, wishes.schedule.seed) {
        (Some(Order::Smart | Order::Listed), Some(_)) => Err(CliError::usage(
            "--seed goes with a random order",
            "take out --order, or --seed".to_owned(),
        )),
        (Some(order), _) => Ok(Some((order, Origin::CommandLine("--order")))),
        (None, Some(_)) => Ok(Some((Order::Random, Origin::CommandLine("--seed")))),
        (None, None) => Ok(None),
    }
}

/// The configuration of the nearest manifest, or of what is detected where there is none.
pub fn config(select: &SelectArguments, wishes: &Wishes) -> Result<Config, CliError> {
    let here = here()?;
    let choices = Choices {
        profile: select.profile.clone(),
        workers: workers(wishes)?,
        order: order(wishes)?,
        seed: wishes.schedule.seed,
        timeout_multiplier: timeout_multiplier(wishes)?,
    };
    let config = match load::find(&here) {
        Some(path) => {
            let root = path.parent().unwrap_or(&here).to_owned();
            let mut source = load::read(&path)?;
            known_profile(select.profile.as_ref(), &load::profiles(&source))?;
            // Messages name it as a person would, from where he stands.
            source.path = relative(&here, &path);
            load::load(&source, root, &choices)?
        }
        None => detected(&here, &choices, select)?,
    };
    known_groups(select, &config)?;
    Ok(config)
}

fn detected(here: &Path, choices: &Choices, select: &SelectArguments) -> Result<Config, CliError> {
    let Some(detected) = detect::detect(here) else {
        return Err(CliError::usage(
            format!(
                "there is no {FILE_NAME} here or in a folder above, and nothing was found that is known to be a test"
            ),
            format!("write a {FILE_NAME}; `orchestrate init` begins one"),
        ));
    };
    known_profile(select.profile.as_ref(), &[])?;
    let _ = writeln!(
        io::stderr(),
        "no {FILE_NAME}: running what `orchestrate init` would write (runners: {})",
        detected.runners()
    );
    for folder in &detected.roots {
        say(clean!("note: {}", own_manifest(folder)));
    }
    let source = Source {
        path: format!("{FILE_NAME} (detected)").into(),
        text: detected.text(),
    };
    Ok(Config {
        manifest: None,
        ..load::load(&source, here.to_owned(), choices)?
    })
}

pub fn known_profile(asked: Option<&String>, profiles: &[String]) -> Result<(), CliError> {
    let Some(asked) = asked else {
        return Ok(());
    };
    if profiles.contains(asked) {
        return Ok(());
    }
    let hint = did_you_mean(asked, profiles.iter().map(String::as_str));
    let hint = hint
        .or_else(|| (!profiles.is_empty()).then(|| format!("there are: {}", profiles.join(", "))));
    Err(CliError::usage(
        format!("there is no profile `{asked}`"),
        hint,
    ))
}

fn known_groups(select: &SelectArguments, config: &Config) -> Result<(), CliError> {
    let names: Vec<&str> = config
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    let Some(asked) = select
        .groups
        .iter()
        .find(|asked| !names.contains(&asked.as_str()))
    else {
        return Ok(());
    };
    let hint = did_you_mean(asked, names.iter().copied());
    let hint =
        hint.or_else(|| (!names.is_empty()).then(|| format!("there are: {}", names.join(", "))));
    Err(CliError::usage(
        format!("there is no group `{asked}`"),
        hint,
    ))
}

/// The folder of the nearest manifest; the current one where there is none.
pub fn root() -> Result<PathBuf, CliError> {
    let here = here()?;
    let root = load::find(&here).and_then(|path| path.parent().map(Path::to_owned));
    Ok(root.unwrap_or(here))
}

/// The nearest folder with runs: beside the manifest, which need not be right, or where there was none.
pub fn kept() -> Result<Folder, CliError> {
    let here = here()?;
    let root = load::find(&here).and_then(|path| path.parent().map(Path::to_owned));
    let root = root.or_else(|| {
        let mut above = here.ancestors();
        above
            .find(|folder| !Folder::of(folder).kept().is_empty())
            .map(Path::to_owned)
    });
    root.map(|root| Folder::of(&root)).ok_or_else(|| {
        CliError::usage(
            format!("there is no {FILE_NAME} and no run here or in a folder above"),
            "go to a folder in which `orchestrate run` ran".to_owned(),
        )
    })
}

/// The selection that the arguments ask for.
pub fn selection(select: &SelectArguments, root: &Path) -> Result<Selection, CliError> {
    let here = here()?;
    let words = select.words.as_deref();
    let words = words.map(|text| expression("-k", text, "a word is a part of a test's name"));
    let tags = select.tags.as_deref();
    let tags = tags.map(|text| expression("-m", text, "a word is a tag's whole name"));
    let exclude = select.exclude.iter();
    let exclude = exclude.map(|written| exclusion(written, &here, root));
    let selectors = select
        .selectors
        .iter()
        .map(|written| selector(written, &here, root));
    Ok(Selection {
        selectors: selectors.collect::<Result<_, _>>()?,
        words: words.transpose()?.map(Expression::in_lower_case),
        tags: tags.transpose()?,
        exclude: exclude.collect::<Result<_, _>>()?,
        failed: select.failed,
        changed: match &select.changed {
            Some(since) => Some(git::changed(root, since)?),
            None => None,
        },
    })
}

impl SelectArguments {
    /// What is asked of a run.
    pub fn asked<'a>(&'a self, selection: &'a Selection) -> Asked<'a> {
        Asked {
            groups: &self.groups,
            selection,
            no_needs: self.no_needs,
            shard: self.shard,
            collect_jobs: self.collect_jobs.map(usize::from),
            no_cache: self.no_cache,
            reports: &[],
            watch: None,
            outlook: &[],
        }
    }
}

/// Says so where nothing is selected, and gives the exit code of what only looks at what would run.
pub fn looked_at(run: &Run, selection: &Selection) -> u8 {
    if let Some(empty) = empty_shard(run) {
        say(Clean::lines(&empty));
    }
    if run.is_nothing() {
        say(Clean::lines(&nothing(selection, run)));
        return exit::NOTHING_MATCHED;
    }
    exit::SUCCESS
}

/// What a person reads of a shard without tests.
pub fn empty_shard(run: &Run) -> Option<String> {
    let part = run.part.as_ref()?;
    let others = part.tests_elsewhere();
    (run.plan.tests() == 0 && others > 0).then(|| {
        format!(
            "shard {} has no test: other shards have all {others}",
            part.shard
        )
    })
}

/// Which of the paths that were named hold no test of a group.
pub fn unclaimed(run: &Run) -> Option<String> {
    let paths: Vec<String> = run.unclaimed.iter().map(|path| one_line(path)).collect();
    let of_which = if run.is_part {
        "none of the groups that are asked for has a test"
    } else {
        "no group has a test"
    };
    (!paths.is_empty()).then(|| format!("{of_which} in {}", paths.join(", ")))
}

/// What a person should know of what is listed: warnings, and notes that need no action.
pub fn tell(run: &Run) {
    for warning in run.warnings.iter().chain(&run.empty) {
        say(clean!("warning: {warning}"));
    }
    for miss in &run.unmatched {
        let (written, line) = (&miss.written, line_of(&run.config().source, &miss.place));
        say(clean!(
            "warning: line {line} of the manifest: {written:?} matches no test"
        ));
    }
    tell_notes(run);
}

/// Notes, which need no action.
pub fn tell_notes(run: &Run) {
    if let (Some(unclaimed), false) = (unclaimed(run), run.is_nothing()) {
        say(clean!("warning: {unclaimed}"));
    }
    for note in &run.notes {
        say(clean!("note: {note}"));
    }
}

/// How many of the files that belong to no group a note names.
const MOST_NAMED: usize = 5;

/// What a person reads of test files that no group claims.
pub fn in_no_group(unclaimed: &Unclaimed) -> Vec<String> {
    let roots = unclaimed.roots.iter().map(|folder| own_manifest(folder));
    test_files(&unclaimed.files)
        .into_iter()
        .chain(roots)
        .collect()
}

/// What a person reads of a folder with a manifest of its own.
fn own_manifest(folder: &Path) -> String {
    let folder = one_line(&folder.to_string_lossy());
    format!("{folder} has a {FILE_NAME} of its own: its tests run only there")
}

fn test_files(files: &[PathBuf]) -> Option<String> {
    let number = match files.len() {
        0 => return None,
        1 => "1 test file belongs".to_owned(),
        many => format!("{many} test files belong"),
    };
    let names = files.iter().take(MOST_NAMED);
    let mut names: Vec<String> = names
        .map(|file| one_line(&file.to_string_lossy()))
        .collect();
    if files.len() > MOST_NAMED {
        names.push("\u{2026}".to_owned());
    }
    let names = names.join(", ");
    Some(format!(
        "{number} to no group: {names} (`exclude` of a group leaves files out on purpose)"
    ))
}

/// Why no test is selected, as far as that is known.
pub fn nothing(selection: &Selection, run: &Run) -> String {
    let mut why = String::from("error: nothing matched: no test is selected");
    if let Some(unclaimed) = unclaimed(run) {
        why += "; ";
        why += &unclaimed;
    }
    if run.config().groups.is_empty() {
        why += "; the manifest has no group: add a table such as `[groups.unit]`";
    }
    if selection.failed {
        why += "; of those that are asked for, none failed or was left out the last time it was to run";
    }
    if let Some(changed) = &selection.changed {
        let since = one_line(&changed.since);
        why += &format!(
            "; no such test's file and no `inputs` of its group have changed since {since}"
        );
    }
    for absent in &run.absent_words {
        why += "\n  ";
        why += absent;
    }
    why
}

/// What `--exclude` names. Patterns are the root's, as they are in the manifest.
fn exclusion(written: &OsStr, here: &Path, root: &Path) -> Result<Exclusion, CliError> {
    let pattern = written
        .to_str()
        .filter(|text| text.contains(['*', '?', '[']));
    Ok(Exclusion {
        name: selector(written, here, root)?,
        pattern: pattern.and_then(|text| Pattern::new(text).ok()),
    })
}

/// An expression; what is wrong with it is pointed at.
fn expression(option: &str, text: &str, word: &str) -> Result<Expression, CliError> {
    Expression::parse(text).map_err(|error| {
        CliError::usage(
            format!("{option}: {error}\n{}", pointed_at(text, error.at)),
            format!("{word}; words are joined with and, or, not and parentheses"),
        )
    })
}

/// A text, or what of it is around a character (counted from 1), and a mark under that.
fn pointed_at(text: &str, at: usize) -> String {
    const AROUND: usize = 60;
    let from = at.saturating_sub(AROUND + 1);
    let part = |from: usize, to: usize| -> String {
        let characters = text.chars().skip(from).take(to.saturating_sub(from));
        one_line(&characters.collect::<String>())
    };
    let (before, after) = (part(from, at - 1), part(at - 1, at + AROUND));
    let blank = " ".repeat(before.chars().count());
    format!("    {before}{after}\n    {blank}^")
}

/// A path is the current folder's; an id is one that no path is called, or what follows a path: `tests/a.py::test_x`. A path
/// need not be text; an id is, since a name in it that is not is written as text can have it.
fn selector(given: &OsStr, here: &Path, root: &Path) -> Result<Selector, CliError> {
    let written = given.to_string_lossy().into_owned();
    let bytes = given.as_bytes();
    let (head, inside) = match bytes.windows(2).position(|pair| pair == b"::") {
        Some(at) => (&bytes[..at], Some(&bytes[at + 2..])),
        None => (bytes, None),
    };
    let head = OsStr::from_bytes(head);
    let mut path = here.join(head);
    // Reports print paths relative to the root, so they are taken as such where the current folder has no such file.
    if !path.exists() && !head.is_empty() && root.join(head).exists() {
        path = root.join(head);
    }
    if head.is_empty() || !path.exists() {
        // Several names that are not text may read alike as ids, so what is none names a file or nothing.
        if given.to_str().is_none() {
            return Err(CliError::usage(
                format!("no test, file or folder is called {written:?}"),
                None,
            ));
        }
        return Ok(Selector {
            written,
            place: None,
        });
    }
    let below = below(&path, root).ok_or_else(|| {
        CliError::usage(
            format!(
                "{} is not in the root {}",
                Path::new(head).display(),
                root.display()
            ),
            "the manifest's folder is the root".to_owned(),
        )
    })?;
    Ok(Selector {
        written,
        place: Some(Place {
            path: below,
            is_file: path.is_file(),
            inside: inside.map(|inside| String::from_utf8_lossy(inside).into_owned()),
        }),
    })
}

/// A path relative to the root. A test's file is named as it was found, so links below the root are not followed; but the
/// path may lead to the root through a link, or the root be named through one.
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    let path = normal(path);
    if let Ok(below) = path.strip_prefix(normal(root)) {
        return Some(below.to_owned());
    }
    let real_root = root.canonicalize().ok()?;
    let is_root = |folder: &&Path| folder.canonicalize().is_ok_and(|real| real == real_root);
    let above = path.ancestors().filter(is_root).last();
    let below = above.and_then(|above| path.strip_prefix(above).ok());
    // Through a link that leads into the root, and not to it.
    below.map(Path::to_owned).or_else(|| {
        let real = path.canonicalize().ok()?;
        real.strip_prefix(real_root).ok().map(Path::to_owned)
    })
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// `../../fastest.toml`, for a manifest in a folder above.
pub fn relative(here: &Path, path: &Path) -> PathBuf {
    let root = path.parent().unwrap_or(path);
    let depth = here
        .strip_prefix(root)
        .map_or(0, |below| below.components().count());
    let mut relative: PathBuf = std::iter::repeat_n("..", depth).collect();
    relative.push(path.file_name().unwrap_or_default());
    relative
}

#[cfg(test)]
mod tests {
    use super::pointed_at;

    #[test]
    fn the_mark_is_under_the_character() {
        assert_eq!(pointed_at("a b", 3), "    a b\n      ^");
        assert_eq!(pointed_at("a and", 6), "    a and\n         ^");
        assert_eq!(pointed_at("", 1), "    \n    ^");
        assert_eq!(pointed_at("\t(", 3), "    \\t(\n       ^");
        let long = format!("{} )", "x".repeat(100_000));
        assert!(pointed_at(&long, 100_002).len() < 300);
    }
}
