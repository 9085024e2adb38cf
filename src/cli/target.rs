//! From `--report` and the like to the reports of a run.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::{environment, say};
use crate::git;
use crate::manifest::resolve::REPORT_FORMATS;
use crate::report::{Console, Jsonl, Junit, Progress, Reported, Reporter, Verbosity, stream};
use crate::suggest::did_you_mean;

/// A report that was asked for.
pub struct Target {
    /// Its format.
    pub format: String,
    /// Where it goes; `-` is standard output.
    pub path: PathBuf,
}

/// How the console talks.
pub struct Voice {
    /// Every test.
    pub verbose: bool,
    /// Failures and one line.
    pub quiet: bool,
    /// How far the run is: in place on a terminal, elsewhere by a line now and then.
    pub progress: bool,
}

/// Reads `FORMAT[=PATH]`.
pub fn parse(texts: &[String]) -> Result<Vec<Target>, CliError> {
    let mut targets: Vec<Target> = Vec::new();
    for text in texts {
        let (format, path) = text.split_once('=').unwrap_or((text, "-"));
        if !REPORT_FORMATS.contains(&format) {
            let hint = did_you_mean(format, REPORT_FORMATS);
            let hint = hint.unwrap_or_else(|| format!("there are: {}", REPORT_FORMATS.join(", ")));
            return Err(CliError::usage(
                format!("--report {text}: there is no format `{format}`"),
                hint,
            ));
        }
        if path.is_empty() {
            return Err(CliError::usage(
                format!("--report {text}: the path is empty"),
                None,
            ));
        }
        let path = PathBuf::from(path);
        if targets.iter().any(|target| target.path == path) {
            let place = if path == Path::new("-") {
                "standard output".to_owned()
            } else {
                path.display().to_string()
            };
            return Err(CliError::usage(
                format!("two reports can't share {place}"),
                "give one a path of its own".to_owned(),
            ));
        }
        targets.push(Target {
            format: format.to_owned(),
            path,
        });
    }
    Ok(targets)
}

/// The console and the reports, each ready to be written. `root` is where the files of the tests are.
pub fn reporters(
    targets: &[Target],
    voice: &Voice,
    root: &Path,
) -> Result<Vec<Box<dyn Reporter>>, CliError> {
    let below = git::place(root);
    let stdout_is_taken = targets.iter().any(|target| target.path == Path::new("-"));
    let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(console(voice, stdout_is_taken))];
    for Target { format, path } in targets {
        spare(format, path)?;
        reporters.push(match format.as_str() {
            "junit" => Box::new(Junit::create(path, &below).map_err(CliError::Report)?),
            _ => Box::new(Jsonl::create(path).map_err(CliError::Report)?),
        });
    }
    Ok(reporters)
}

/// Refuses to write over a file that is not a report of this format: a slip must not cost a source file.
fn spare(format: &str, path: &Path) -> Result<(), CliError> {
    let begins: &[u8] = match format {
        "junit" => b"<?xml",
        _ => b"{\"v\":",
    };
    let mut head = Vec::new();
    // What is not a regular file, or cannot be read, has nothing to lose or fails when it is written.
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let file = is_file.then(|| std::fs::File::open(path));
    let Some(Ok(file)) = file else { return Ok(()) };
    let length = u64::try_from(begins.len()).unwrap_or_default();
    let is_read = file.take(length).read_to_end(&mut head).is_ok();
    if !is_read || begins.starts_with(&head) {
        return Ok(());
    }
    Err(CliError::usage(
        format!(
            "the {format} report can't be {}: the file exists and is not a {format} report",
            path.display()
        ),
        "choose another path, or remove the file".to_owned(),
    ))
}

fn console(voice: &Voice, stdout_is_taken: bool) -> Console {
    let colour = if stdout_is_taken {
        environment::colour(&io::stderr())
    } else {
        environment::colour(&io::stdout())
    };
    let progress = match (voice.progress, io::stderr().is_terminal()) {
        (false, _) => Progress::None,
        (true, true) => Progress::Bar,
        (true, false) => Progress::Lines,
    };
    let verbosity = match (voice.quiet, voice.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    Console::new(stream(stdout_is_taken), colour, progress, verbosity)
}

/// Says which reports could not be written.
pub fn tell_errors(reported: &Reported) {
    for error in &reported.errors {
        let kind = if error.is_advisory {
            "warning"
        } else {
            "error"
        };
        say(clean!("{kind}: {error}"));
    }
}
