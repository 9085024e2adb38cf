//! Discovery: a group's files and items, before anything is selected.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::apart::tell_apart;
use super::files::Files;
use super::list::Live;
use super::session::{self, Session as Host};
use super::{list, support};
use crate::kept_file;
use crate::manifest::config::{
    CommandTemplate, Config, GroupConfig, GroupName, Hook, ItemSource, Origin, Session,
    SettingValue,
};
use crate::manifest::model::Separator;
use crate::manifest::pattern::Pattern;
use crate::manifest::template::{Lookup, Name};
use crate::pending::state_folder;
use crate::plan::claims::cycles;
use crate::plan::{Item, Known};
use crate::secrets::Secrets;
use crate::worker::client::{Client, Clients};
use crate::worker::frame::{Confinement, Level};
use crate::worker::{SUPPORT, Scratch, program, temporary_folders};

/// What discovery needs to know of the world.
pub struct Discovery {
    /// The root.
    pub root: PathBuf,
    /// The run's id, for `<run>`.
    pub run: String,
    /// The environment of `orchestrate`.
    pub environment: HashMap<OsString, OsString>,
    /// The values that no report may show.
    pub secrets: Arc<Secrets>,
    scratch: Scratch,
    support: OnceLock<PathBuf>,
    /// Where listings are kept.
    pub listings: PathBuf,
    /// Whether those that are kept may be used.
    pub reads_listings: bool,
    /// Whether listings may be kept, and read, at all.
    pub keeps_listings: bool,
    /// Whether the names are needed that `-k` looks in.
    pub wants_keywords: bool,
    /// The reports that the run writes.
    pub reports: Vec<PathBuf>,
    /// The number of workers, where the run says how many.
    workers: Option<usize>,
    /// All workers of the run, those that list and those that test.
    pub clients: Arc<Clients>,
    /// The listings that run.
    pub live: Live,
    /// Workers that have nothing to list just now.
    idle: Mutex<Vec<(Confinement, Client)>>,
    /// Sessions that serve whole groups.
    sessions: Mutex<HashMap<GroupName, Arc<Host>>>,
}

/// A group's items.
pub struct Found {
    /// The items, in the order of the listing.
    pub items: Vec<Item>,
    /// Why there are none, where there should be some.
    pub empty: Option<String>,
    /// Why its session cannot serve them, where only its collection can show that.
    pub cold: Option<String>,
    /// Why each worker needs a session of its own, where only its collection could tell.
    pub worker: Option<String>,
    /// Why they must run in one process, if they must.
    pub one_process: Option<String>,
    /// Why they must run in one process where only some of them are selected.
    pub one_process_unless_all: Option<String>,
    /// The patterns of `exclude` that have left out a file.
    pub excluded: Vec<Pattern>,
    /// Warnings about the group.
    pub warnings: Vec<String>,
}

impl Discovery {
    /// Discovery in a configuration's root.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub fn new(
        config: &Config,
        run: String,
        environment: HashMap<OsString, OsString>,
    ) -> Result<Self, crate::worker::ScratchError> {
        let scratch = Scratch::new("run")?;
        let secrets = Secrets::default();
        for group in &config.groups {
            let variables = environment.iter();
            let variables = variables.map(|(name, value)| (name.as_os_str(), value.as_os_str()));
            secrets.see(&group.bounds.secrets, variables);
        }
        Ok(Self {
            secrets: Arc::new(secrets),
            root: config.root.clone(),
            run,
            workers: config.run.workers,
            environment,
            support: OnceLock::new(),
            listings: config.root.join(".fastest/listings"),
            reads_listings: true,
            reports: Vec::new(),
            keeps_listings: true,
            wants_keywords: false,
            clients: Clients::new(Some(scratch.path())),
            live: Live::default(),
            idle: Mutex::default(),
            sessions: Mutex::default(),
            scratch,
        })
    }

    /// Takes in which values of a group's variables no report may show.
    pub fn see(&self, group: &GroupConfig, variables: &[(OsString, OsString)]) {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        self.secrets.see(&group.bounds.secrets, variables);
    }

    /// A worker to list with: what lists is the project's own, and ends like any job.
    ///
    /// # Errors
    /// There is none, and none can be started.
    pub fn borrow(&self, confinement: &Confinement) -> io::Result<Client> {
        let mut idle = self.idle();
        let place = idle.iter().rposition(|(other, _)| other == confinement);
        if let Some(place) = place {
            return Ok(idle.swap_remove(place).1);
        }
        drop(idle);
        Client::start(&self.clients, &confinement.clone().home())
    }

    /// Gives a worker back.
    pub fn give_back(&self, confinement: Confinement, client: Client) {
        self.idle().push((confinement, client));
    }

    /// What the workers of a group are confined to, and with them all that the group runs.
    #[must_use]
    pub fn confinement(&self, group: &GroupConfig) -> Confinement {
        let bounds = &group.bounds;
        let confinement = Confinement {
            level: bounds.level,
            network: bounds.network,
            ..Confinement::default()
        };
        if bounds.level != Level::Sandbox {
            return confinement;
        }
        let own = [(self.root.clone(), true), (self.folder_of(group), true)];
        let fixed = program::for_others().into_iter().chain([self.support()]);
        let kept = own.into_iter().chain(fixed.map(|path| (path, false)));
        let history = self.root.join(".fastest");
        let ours = [Some(history), state_folder(&self.environment)]
            .into_iter()
            .flatten();
        let ours: Vec<PathBuf> = ours.collect();
        for folder in &ours {
            // One that is not there could be made by a job.
            let _ = crate::kept_file::make_folder(folder);
        }
        let private = temporary_folders().into_iter();
        Confinement {
            private: private
                .chain(self.folder().parent().map(Path::to_owned))
                .collect(),
            kept: kept.collect(),
            hidden: self.reports.iter().cloned().chain(ours).collect(),
            ..confinement
        }
    }

    /// Lets all workers go: nothing is listed any more.
    pub fn close(&self) {
        self.idle().clear();
    }

    /// How many processes a listing of a group may use: it often builds the tests.
    #[must_use]
    pub fn workers(&self, group: &GroupConfig) -> usize {
        let workers = group.workers.or(self.workers);
        workers.unwrap_or_else(crate::machine::cores)
    }

    /// The session that serves a whole group; it has a host once somebody has asked it for a connection.
    #[must_use]
    pub fn session(&self, group: &GroupName) -> Arc<Host> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(group.clone()).or_default().clone()
    }

    /// The same for who needs a fork: if its host has left, another session takes its place.
    #[must_use]
    pub fn session_with_host(&self, group: &GroupName) -> Arc<Host> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Host::with_host(sessions.entry(group.clone()).or_default())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Confinement, Client)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder for temporary files of the whole run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// A folder for what a group's processes leave for each other and for us.
    #[must_use]
    pub fn folder_of(&self, group: &GroupConfig) -> PathBuf {
        let folder = self.folder().join(format!("group-{}", group.name));
        // Who writes to it tells if it can't be made.
        let _ = fs::create_dir(&folder);
        folder
    }

    /// The folder of the runners' own files; they are written when somebody asks for the first time.
    #[must_use]
    pub fn support(&self) -> PathBuf {
        self.support
            .get_or_init(|| {
                let folder = self.scratch.path().join(SUPPORT);
                // What can't be written is missed by the command that needs it, which says so.
                let _ = fs::create_dir(&folder).and_then(|()| support::write(&folder));
                folder
            })
            .clone()
    }

    /// The value of a name that is the same for the whole group.
    #[must_use]
    pub fn group_value(&self, group: &GroupConfig, name: &Name) -> Option<Vec<OsString>> {
        let one = |value: OsString| Some(vec![value]);
        match name {
            Name::Root => one(self.root.clone().into()),
            Name::Dir => one(group.folder(&self.root).into()),
            Name::Support => one(self.support().into()),
            Name::Group => one(group.name.as_str().into()),
            Name::Run => one(self.run.clone().into()),
            Name::Env { name, default } => match self.environment.get(&OsString::from(name)) {
                Some(value) => one(value.clone()),
                None => default.as_ref().map(|value| vec![value.into()]),
            },
            Name::Own(name) => self.setting(group, name),
            _ => None,
        }
    }

    fn setting(&self, group: &GroupConfig, name: &str) -> Option<Vec<OsString>> {
        let (_, value) = group
            .runner
            .settings
            .iter()
            .find(|(known, _)| known == name)?;
        let lookup = GroupLookup {
            discovery: self,
            group,
        };
        match value {
            SettingValue::One(template) => Some(vec![template.expand(&lookup).ok()?]),
            SettingValue::Many(templates) => templates
                .iter()
                .map(|template| template.expand(&lookup).ok())
                .collect(),
            SettingValue::FirstOf(templates) => {
                let candidates: Vec<OsString> = templates
                    .iter()
                    .filter_map(|template| template.expand(&lookup).ok())
                    .collect();
                let mut all = candidates.iter();
                if let Some(found) = all.find_map(|candidate| self.existing(group, candidate)) {
                    return Some(vec![found]);
                }
                // If there is none, the last is tried, and its error names what is missing.
                let last = candidates.into_iter().next_back()?;
                let is_path = last.as_bytes().contains(&b'/');
                Some(vec![if is_path {
                    group.folder(&self.root).join(last).into()
                } else {
                    last
                }])
            }
        }
    }

    /// A program that exists: a path in the group's folder or else in the root, or a name that is on `PATH`.
    fn existing(&self, group: &GroupConfig, program: &OsString) -> Option<OsString> {
        if program.as_bytes().contains(&b'/') {
            let folder = group.folder(&self.root);
            let mut paths = [folder, self.root.clone()].map(|folder| folder.join(program));
            let found = paths.iter_mut().find(|path| path.exists())?;
            return Some(std::mem::take(found).into());
        }
        let path = self.environment.get(&OsString::from("PATH"))?;
        let mut folders = std::env::split_paths(path);
        let is_there = folders.any(|folder| folder.join(program).is_file());
        is_there.then(|| program.clone())
    }
}

/// Values that are known before there are workers.
pub struct GroupLookup<'a> {
    /// Where they come from.
    pub discovery: &'a Discovery,
    /// The group.
    pub group: &'a GroupConfig,
}

impl Lookup for GroupLookup<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        self.discovery.group_value(self.group, name)
    }
}

/// Finds a group's items, in the files that are its own. What can't be listed is an item that is broken: it must be seen, not passed over.
#[must_use]
pub fn discover(discovery: &Discovery, group: &GroupConfig, files: Files) -> Found {
    let name = group.name.as_str();
    discovery
        .live
        .group(name, || list_group(discovery, group, files))
}

fn list_group(discovery: &Discovery, group: &GroupConfig, files: Files) -> Found {
    let mut found = Found {
        excluded: files.excluded.clone(),
        items: Vec::new(),
        empty: None,
        cold: None,
        worker: None,
        one_process: None,
        one_process_unless_all: None,
        warnings: Vec::new(),
    };
    let items = match &group.source {
        ItemSource::Once => Ok(vec![Item::plain(String::new())]),
        ItemSource::Listed(texts) => Ok(texts.iter().cloned().map(Item::plain).collect()),
        ItemSource::File(path, separator) => {
            kept_file::read(&group.folder(&discovery.root).join(path))
                .map(|bytes| split(&bytes, *separator))
                .map_err(|error| format!("can't read the items of {}: {error}", path.display()))
        }
        ItemSource::Command(command, separator) => {
            list::output_of(discovery, group, command, &[]).map(|bytes| split(&bytes, *separator))
        }
        ItemSource::Files {
            files: patterns, ..
        } => {
            found.warnings = told_of_files(group, patterns, &files);
            in_files(discovery, group, patterns, files, &mut found)
        }
    };
    if !matches!(group.source, ItemSource::Files { .. }) && items.as_ref().is_ok_and(Vec::is_empty)
    {
        found.empty = Some(format!("group {}: `items` names no item", group.name));
    }
    found.items = items.unwrap_or_else(|why| {
        let broken = Some(Known::Broken(why));
        vec![Item {
            known: broken,
            ..Item::plain(String::new())
        }]
    });
    found.warnings.extend(cycles(&found.items));
    tell_apart(&mut found.items, |item| &mut item.id);
    found
}

/// The path of a file relative to the root. A listing says it relative to the group's folder, or absolute.
fn from_root(root: &Path, dir: &Path, file: PathBuf) -> PathBuf {
    if file.is_absolute() {
        let below = |root: &Path| file.strip_prefix(root).ok().map(Path::to_owned);
        // A tool may resolve links in the root's own path.
        let real = || root.canonicalize().ok().and_then(|real| below(&real));
        return below(root).or_else(real).unwrap_or(file);
    }
    if dir.as_os_str().is_empty() {
        return file;
    }
    let mut path = dir.to_owned();
    for component in file.components() {
        match component {
            Component::CurDir => {}
            // What leads out of the root is left as it is.
            Component::ParentDir if path.file_name().is_some() => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    path
}

fn in_files(
    discovery: &Discovery,
    group: &GroupConfig,
    patterns: &[Pattern],
    files: Files,
    found: &mut Found,
) -> Result<Vec<Item>, String> {
    let paths = files.paths;
    if paths.is_empty() && !patterns.is_empty() {
        let name = &group.name;
        found.empty = Some(if files.matched.contains(&true) {
            format!("group {name}: `exclude` leaves out every file that `files` matches")
        } else {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            let hint = repeated_folder(group, &patterns);
            format!(
                "group {name}: no file matches {}{hint}",
                patterns.join(", ")
            )
        });
        return Ok(Vec::new());
    }
    let in_folder = |path: &PathBuf| group.in_folder(path).unwrap_or(path).to_owned();
    let own: Vec<PathBuf> = paths.iter().map(in_folder).collect();
    let from_root = |mut item: Item| {
        let file = item.file.take();
        item.file = file.map(|file| from_root(&discovery.root, &group.dir, file));
        item
    };
    match &group.runner.list {
        Some(command) => {
            let mut listing = if is_served_whole(group) {
                in_session(discovery, group, &own)?
            } else {
                list::tests(discovery, group, command, &own)?
            };
            listing.items = listing.items.into_iter().map(from_root).collect();
            if !takes_files(command) {
                listing.narrow(patterns, &paths);
            }
            if listing.items.is_empty() {
                found.empty = Some(format!("group {}: its runner lists no test", group.name));
            }
            found.cold = listing.cold.filter(|_| group.session.is_warm());
            found.one_process = listing.one_process;
            found.one_process_unless_all = listing.one_process_unless_all;
            found.warnings.extend(listing.warnings);
            match listing.worker {
                Some(why) if group.session.may_change() => found.worker = Some(why),
                Some(why) if matches!(group.session, Session::Shared(_)) => {
                    let message = format!("its workers share one session, but {why}");
                    found.warnings.push(message);
                }
                _ => {}
            }
            Ok(listing.items)
        }
        None => Ok(own.into_iter().map(Item::of_file).map(from_root).collect()),
    }
}

/// What to do about a pattern that names the group's folder once more.
fn repeated_folder(group: &GroupConfig, patterns: &[String]) -> String {
    let dir = group.dir.to_string_lossy();
    let twice = format!("{dir}/{dir}/");
    let mut patterns = patterns.iter();
    let own = patterns.find_map(|pattern| pattern.strip_prefix(&twice));
    own.filter(|_| !dir.is_empty())
        .map(|own| format!("; patterns are relative to `dir`: write \"{own}\""))
        .unwrap_or_default()
}

/// What is remarkable about the files of a group: patterns of the manifest that match nothing, and links that hide some.
fn told_of_files(group: &GroupConfig, patterns: &[Pattern], files: &Files) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut values = group.provenance.iter();
    let is_written =
        values.any(|value| value.key == "files" && matches!(value.origin, Origin::Manifest { .. }));
    // Where none matches, the group is empty, which is an error of its own.
    if is_written && files.matched.contains(&true) {
        let missed = patterns.iter().zip(&files.matched);
        let missed = missed.filter(|(_, is_matched)| !**is_matched);
        warnings.extend(missed.map(|(pattern, _)| {
            let hint = repeated_folder(group, &[pattern.to_string()]);
            format!("no file matches \"{pattern}\" of `files`{hint}")
        }));
    }
    let links = files.links.iter().map(|(link, pattern)| {
        let link = link.display();
        format!(
            "the link {link} to a folder is not followed, and holds files that \"{pattern}\" matches: \
             add \"{link}/**\" to `files`, or to `exclude`"
        )
    });
    warnings.extend(links);
    let dangling = files.dangling.iter().map(|link| {
        format!(
            "the link {} leads to nothing, so it is no test",
            link.display()
        )
    });
    warnings.extend(dangling);
    warnings
}

/// Whether a listing command is told the group's files. One that is not lists what its tool runs by itself.
fn takes_files(command: &CommandTemplate) -> bool {
    let mut names = command.names();
    names.any(|name| matches!(name, Name::Files | Name::Program))
}

/// Whether one host lists a group's tests and then runs them. What `before-all` brings about must be there before it starts.
fn is_served_whole(group: &GroupConfig) -> bool {
    matches!(group.session, Session::Shared(_)) && group.hooks.of(Hook::BeforeAll).is_empty()
}

/// Lists through the host that will run the tests.
fn in_session(
    discovery: &Discovery,
    group: &GroupConfig,
    paths: &[PathBuf],
) -> Result<list::Listing, String> {
    let session = discovery.session(&group.name);
    let files = list::as_arguments(paths);
    let prepare = |tmp: &Path| session::request_of_group(discovery, group, &files, tmp, &[]);
    let listing = session.list(&discovery.clients, &prepare, discovery.wants_keywords)?;
    let needs_another = listing.worker.is_some() && group.session.may_change();
    if listing.cold.is_some() || listing.one_process.is_some() || needs_another {
        let _ = session.finish(Duration::ZERO);
    }
    Ok(listing)
}

/// The items that a list names.
pub(crate) fn split(bytes: &[u8], separator: Separator) -> Vec<Item> {
    // Editors of Windows put a mark before the first line, which is no part of it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let byte = match separator {
        Separator::Newline => b'\n',
        Separator::Nul => 0,
    };
    bytes
        .split(|b| *b == byte)
        .map(|item| match separator {
            Separator::Newline => item.strip_suffix(b"\r").unwrap_or(item),
            Separator::Nul => item,
        })
        .filter(|item| !item.is_empty())
        .map(|item| Item {
            argument: std::ffi::OsStr::from_bytes(item).to_owned(),
            ..Item::plain(String::from_utf8_lossy(item).into_owned())
        })
        .collect()
}
