//! The variables that hooks have set, for the cleanup that a killed run leaves to the next one.
//!
//! They may be secret, and they may steer programs. So they are not in `.fastest/`, which a pull request, a restored cache or
//! another user may write, and which is often copied elsewhere; but in the user's own state folder
//! (<https://specifications.freedesktop.org/basedir-spec/latest/>), a file a run. What is found there was written by a run of
//! this user for this root, or it is refused.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::kept_file;
use crate::worker::frame;

/// For how long variables wait for a run that makes up for what needs them.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// See the module.
#[derive(Debug)]
pub struct PendingVariables {
    /// `None` where there is no state folder.
    folder: Option<PathBuf>,
    root: PathBuf,
    /// Held while something is written.
    writing: Mutex<()>,
}

/// What a hook has set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetByHook {
    /// Its group.
    pub group: String,
    /// The process id of the worker that it was for.
    pub pid: Option<u32>,
    /// Names and values.
    pub variables: Vec<(OsString, OsString)>,
}

/// One part of a file.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    /// Whose it is: the first.
    Root(OsString),
    /// What a hook has set.
    Set(SetByHook),
}

/// Where a user's runs leave to later ones what these are to take back.
#[must_use]
pub fn state_folder(environment: &HashMap<OsString, OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        let path = environment.get(OsStr::new(name)).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let state = path("XDG_STATE_HOME");
    let state = state.or_else(|| path("HOME").map(|home| home.join(".local/state")));
    Some(state?.join("orchestrate"))
}

impl PendingVariables {
    /// Those of a root, with the state folder of an environment.
    #[must_use]
    pub fn of(root: &Path, environment: &HashMap<OsString, OsString>) -> Self {
        Self {
            folder: state_folder(environment).map(|state| state.join("pending")),
            root: root.to_owned(),
            writing: Mutex::default(),
        }
    }

    /// Keeps what a hook of a run has set, on disk before this returns. Names that [`may_be_recalled`] refuses are left out.
    ///
    /// # Errors
    /// There is no state folder, it is not this user's alone, or it can't be written.
    pub fn keep(&self, run: &str, mut set: SetByHook) -> io::Result<()> {
        set.variables.retain(|(name, _)| may_be_recalled(name));
        if set.variables.is_empty() {
            return Ok(());
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        kept_file::make_folder(self.path()?)?;
        let folder = self.open()?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | FILE;
        let file = openat(&folder, self.name(run), flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = own(file.into())?;
        if file.metadata()?.len() == 0 {
            self.forget_old();
            frame::write(&mut file, &Part::Root(self.root.clone().into()))?;
        }
        frame::write(&mut file, &Part::Set(set))?;
        file.sync_data()
    }

    /// What hooks of a run have set, in their order; nothing where nothing is kept of it.
    ///
    /// # Errors
    /// What is kept can't be read, or somebody else has written it.
    pub fn recall(&self, run: &str) -> io::Result<Vec<SetByHook>> {
        let read = || {
            let folder = self.open()?;
            let file = openat(
                &folder,
                self.name(run),
                OFlags::RDONLY | FILE,
                Mode::empty(),
            )?;
            own(file.into())
        };
        let mut reader = match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => BufReader::new(file?),
        };
        let mut list = Vec::new();
        match frame::read(&mut reader)? {
            Some(Part::Root(root)) if Path::new(&root) == self.root => {}
            _ => return Err(io::Error::other("it is of another root")),
        }
        while let Some(Part::Set(mut set)) = frame::read(&mut reader)? {
            set.variables.retain(|(name, _)| may_be_recalled(name));
            list.push(set);
        }
        Ok(list)
    }

    /// Nothing of this run is pending any more.
    pub fn forget(&self, run: &str) {
        if let Ok(folder) = self.open() {
            // Most runs have kept nothing.
            let _ = unlinkat(&folder, self.name(run), AtFlags::empty());
        }
    }

    /// Runs whose root is gone, or that nobody runs any more, have left these.
    fn forget_old(&self) {
        let folder = self.path().map(fs::read_dir);
        let entries = folder.into_iter().flatten().flatten().flatten();
        for entry in entries {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.map(|time| SystemTime::now().duration_since(time));
            if age.is_ok_and(|age| age.is_ok_and(|age| age > KEPT_FOR)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self) -> io::Result<&Path> {
        let none = || {
            let why = "there is no state folder: set XDG_STATE_HOME or HOME to an absolute path";
            io::Error::other(why)
        };
        self.folder.as_deref().ok_or_else(none)
    }

    /// The folder, if this user alone can write it.
    fn open(&self) -> io::Result<OwnedFd> {
        let path = self.path()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let meta = folder.metadata()?;
        if meta.uid() != geteuid().as_raw() || meta.mode() & 0o077 != 0 {
            let why = format!("{} is not this user's alone", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(folder.into())
    }

    /// The file of a run: other roots may have a run of the same id.
    fn name(&self, run: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.root.hash(&mut hasher);
        let run: String = run
            .chars()
            .map(|c| if c == '/' { '_' } else { c })
            .collect();
        format!("{run}-{:016x}", hasher.finish()).into()
    }
}

/// How a file is opened that somebody could have replaced.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// A file, if it is a regular one of this user.
fn own(file: File) -> io::Result<File> {
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it is no file of this user"));
    }
    Ok(file)
}

/// Names that no cleanup gets back from a run that was killed, since a program that finds them does something else than its
/// command says: the loader's, the shell's and the interpreters', paths of programs and modules, and our own.
const REFUSED_PREFIXES: [&str; 12] = [
    "LD_",
    "DYLD_",
    "ORCHESTRATE_",
    "BASH_FUNC_",
    "PYTHON",
    "PERL5",
    "LUA_",
    "GIT_",
    "CORECLR_",
    "COR_",
    "DOTNET_STARTUP",
    "MALLOC_",
];
const REFUSED: [&str; 31] = [
    "BASH_ENV",
    "BASHOPTS",
    "CLASSPATH",
    "ENV",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LOCALDOMAIN",
    "LOCPATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PKG_CONFIG_PATH",
    "PROMPT_COMMAND",
    "PS4",
    "RUBYLIB",
    "RUBYOPT",
    "RUSTC_WRAPPER",
    "SHELLOPTS",
    "TCLLIBPATH",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

/// Whether a variable that a hook has set may be given to a cleanup by another run.
#[must_use]
pub fn may_be_recalled(name: &OsStr) -> bool {
    let Some(name) = name.to_str().filter(|name| !name.is_empty()) else {
        return false;
    };
    let is_refused = REFUSED.contains(&name)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        // PATH, CDPATH, GOPATH, …; not DB_PATH, which is some file's.
        || (name.ends_with("PATH") && !name.contains('_'));
    !is_refused && !name.as_bytes().contains(&b'=')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set(pid: Option<u32>, variables: &[(&str, &str)]) -> SetByHook {
        let variables = variables.iter();
        SetByHook {
            group: "g".into(),
            pid,
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    fn of(state: &Path, root: &str) -> PendingVariables {
        let environment = [("XDG_STATE_HOME".into(), state.into())].into();
        PendingVariables::of(Path::new(root), &environment)
    }

    #[test]
    fn what_was_kept_is_recalled_by_the_same_root_and_run_alone() {
        let state = tempfile::tempdir().unwrap();
        let pending = of(state.path(), "/r");
        assert_eq!(pending.recall("1").unwrap(), []);
        let (all, worker) = (set(None, &[("A", "1")]), set(Some(7), &[("B", "\n=")]));
        pending.keep("1", all.clone()).unwrap();
        pending.keep("1", worker.clone()).unwrap();
        assert_eq!(pending.recall("1").unwrap(), [all, worker]);
        assert_eq!(pending.recall("2").unwrap(), []);
        assert_eq!(of(state.path(), "/other").recall("1").unwrap(), []);
        let folder = state.path().join("orchestrate/pending");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        assert_eq!(mode(&file.path()), 0o600);
        pending.forget("1");
        assert_eq!(pending.recall("1").unwrap(), []);
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let pending = of(state.path(), "/r");
        pending.keep("1", set(None, &[("A", "1")])).unwrap();
        let folder = state.path().join("orchestrate/pending");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(pending.recall("1").is_err());
        assert!(pending.keep("1", set(None, &[("A", "1")])).is_err());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        fs::rename(file.path(), state.path().join("moved")).unwrap();
        symlink(state.path().join("moved"), file.path()).unwrap();
        assert!(pending.recall("1").is_err());
        let relative = [("XDG_STATE_HOME".into(), "here".into())].into();
        let nowhere = PendingVariables::of(Path::new("/r"), &relative);
        assert!(nowhere.keep("1", set(None, &[("A", "1")])).is_err());
    }

    #[test]
    fn names_that_steer_programs_are_never_recalled() {
        for name in [
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "GOPATH",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "NODE_OPTIONS",
            "PERL5LIB",
            "BASH_ENV",
            "ORCHESTRATE_RUN_ID",
        ] {
            assert!(!may_be_recalled(OsStr::new(name)), "{name}");
        }
        for name in ["DB_PATH", "DATABASE_URL", "COMPOSE_PROJECT", "ENVIRONMENT"] {
            assert!(may_be_recalled(OsStr::new(name)), "{name}");
        }
    }
}
