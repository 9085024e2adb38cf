//! Everything that can go wrong before or beside the tests, in one place with its exit code.

use crate::git::GitError;
use crate::manifest::LoadError;
use crate::report::{ReportError, harmless};
use crate::run::RunError;
use crate::worker::by_hand::ByHand;

use super::exit;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for what there is not.
    #[error("{message}")]
    Usage {
        /// What.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] LoadError),
    /// The run can't begin.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Git can't say what has changed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A report can't be written.
    #[error("{0}; nothing ran")]
    Report(ReportError),
    /// A part of a run was started by hand.
    #[error(transparent)]
    ByHand(#[from] ByHand),
    /// The system does not do what it should.
    #[error("{0}")]
    System(String),
}

impl CliError {
    /// A usage error.
    pub fn usage(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The exit code.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Usage { .. }
            | Self::ByHand(_)
            | Self::Manifest(_)
            | Self::Run(RunError::Unknown { .. } | RunError::NoLastRun)
            | Self::Git(GitError::Refused { .. }) => exit::USAGE,
            Self::Run(RunError::Scratch(_))
            | Self::Git(GitError::Missing(_))
            | Self::Report(_)
            | Self::System(_) => exit::INFRASTRUCTURE,
        }
    }

    /// What a person reads.
    pub fn render(&self, colour: bool) -> String {
        if let Self::Manifest(LoadError::Problems(problems)) = self {
            return problems.render(colour);
        }
        let head = if colour {
            "\x1b[1;31merror\x1b[0m"
        } else {
            "error"
        };
        let hint = match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Manifest(LoadError::Unreadable { .. }) => {
                Some("check the path, and that you may read it".into())
            }
            Self::Report(error) => error.hint(),
            Self::Run(RunError::NoLastRun) => {
                Some("run them once without it; what is kept of runs is in .fastest".into())
            }
            Self::Git(GitError::Refused { hint, .. }) => Some((*hint).into()),
            Self::ByHand(_) => Some("run the tests with `orchestrate run`".into()),
            _ => None,
        };
        let text = harmless(&self.to_string());
        match hint {
            Some(hint) => format!("{head}: {text}\n  hint: {}", harmless(&hint)),
            None => format!("{head}: {text}"),
        }
    }
}
