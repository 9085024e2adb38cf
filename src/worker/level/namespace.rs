//! A worker in namespaces of its own, namespaces(7).
//!
//! Before it serves, a worker makes a copy of itself in new namespaces, which serves in its place; itself it stays outside as
//! the holder. The copy is the first process of its process namespace: nothing in there can kill it, and when it goes, the
//! kernel ends everything else. The holder does what has to be done from outside (a map of users needs rights that one has only
//! there), and tidies up. The copy hands its namespaces to `orchestrate`, for other workers that are to live in them.
//!
//! Where we are no root, a user namespace gives the rights to make the others. In a sandbox root gets one as well, once all is
//! mounted: then its jobs can't unmount what hides the rest from them (mount_namespaces(7), "Restrictions on mount
//! namespaces").

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::retry_on_intr;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{
    Pid, Signal, WaitOptions, getegid, geteuid, kill_process, set_parent_process_death_signal,
    waitpid,
};
use serde::{Deserialize, Serialize};

use super::mounts;
use super::{Confinement, Level, Network, Side, Walls};
use crate::worker::frame;
use crate::worker::process::inherited;
use crate::worker::process::namespaces::{self, Namespaces, divide, join, leave, stand_in};

/// The copy asks that the users of its user namespace be mapped.
#[derive(Debug, Serialize, Deserialize)]
struct MapUsers;

/// `CAP_SYS_ADMIN`, by its number in the sets of proc_pid_status(5).
const ADMIN: u32 = 21;

/// Goes behind walls. The worker's own folder is at `scratch`.
///
/// # Errors
/// What the system does not allow, and what to do about it.
pub fn enter(walls: &Walls, scratch: &Path) -> Result<Side, String> {
    match walls {
        Walls::Own(confinement) => own(confinement, scratch),
        Walls::Shared { namespaces, .. } => shared(namespaces),
    }
}

fn lost(error: impl Into<io::Error>) -> String {
    let error: io::Error = error.into();
    format!("a worker and the process that holds its namespaces lost each other: {error}")
}

fn own(confinement: &Confinement, scratch: &Path) -> Result<Side, String> {
    let mut new = Namespaces::NONE;
    if confinement.level.has_namespace() {
        new = new.with(Namespaces::PROCESS).with(Namespaces::MOUNT);
    }
    if confinement.level == Level::Sandbox {
        new = new.with(Namespaces::MEMORY);
    }
    if confinement.network != Network::Host {
        new = new.with(Namespaces::NETWORK);
    }
    let is_able = has_rights();
    let users = Users::of_this_process(is_able)?;
    if !is_able {
        become_able(&users)?;
    }
    let (ours, theirs) = UnixStream::pair().map_err(lost)?;
    let copy = divide(new).map_err(|error| why_not(new, &error))?;
    if let Some(pid) = copy {
        drop(theirs);
        return hold(pid, ours, &users).map_err(lost);
    }
    drop(ours);
    let inside = inside(confinement, new, scratch, theirs).and_then(|mut namespaces| {
        if !is_able {
            namespaces.push(open(Namespaces::USER)?);
        }
        Ok(namespaces)
    });
    Ok(inside.map_or_else(Side::Failed, Side::Inside))
}

/// Gets the rights to make namespaces, in a user namespace.
fn become_able(users: &Users) -> Result<(), String> {
    let kind = Namespaces::USER;
    let (mut ours, theirs) = UnixStream::pair().map_err(lost)?;
    let Some(pid) = divide(kind).map_err(|error| why_not(kind, &error))? else {
        drop(ours);
        stand_in(&theirs.into());
    };
    drop(theirs);
    ours.read_exact(&mut [0]).map_err(lost)?;
    users.give(pid)?;
    let theirs = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
    let namespace = File::open(&theirs).map_err(|error| format!("can't open {theirs}: {error}"))?;
    join(namespace.as_fd(), kind).map_err(|error| why_not(kind, &error))?;
    drop(ours);
    retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())).map_err(lost)?;
    Ok(())
}

/// What the copy does before it serves. Returns the namespaces that it has for itself.
fn inside(
    confinement: &Confinement,
    new: Namespaces,
    scratch: &Path,
    mut holder: UnixStream,
) -> Result<Vec<OwnedFd>, String> {
    end_with_holder();
    let is_sandbox = confinement.level == Level::Sandbox;
    if confinement.network == Network::Private {
        namespaces::raise_loopback()
            .map_err(|error| format!("can't raise a loopback in a network namespace: {error}"))?;
    }
    if new.has(Namespaces::MOUNT) {
        let flags = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        mount_change("/", flags).map_err(|error| why_not(Namespaces::MOUNT, &error.into()))?;
        if is_sandbox {
            mounts::build(confinement, scratch)?;
        }
        // /proc is to show the namespace's own processes.
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("proc", "/proc", "proc", flags, None::<&CStr>).map_err(|error| {
            format!(
                "can't mount /proc in a process namespace: {error}; where this is a container, start it so that its /proc is \
                 whole (`--security-opt systempaths=unconfined`)"
            )
        })?;
    }
    let mut own = new;
    if is_sandbox && geteuid().is_root() {
        mounts::seal_proc()?;
        let users = Namespaces::USER;
        leave(users.with(Namespaces::MOUNT)).map_err(|error| why_not(users, &error))?;
        ask(&mut holder)?;
        own = own.with(users);
    } else if is_sandbox {
        namespaces::gain_nothing().map_err(|error| format!("can't give up rights: {error}"))?;
    }
    // What has changed our rights has undone this: PR_SET_PDEATHSIG(2const).
    end_with_holder();
    own.each().into_iter().map(open).collect()
}

/// A holder has one thread, so this is when it ends, and not when one of its threads does.
fn end_with_holder() {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

fn ask(holder: &mut UnixStream) -> Result<(), String> {
    let answer = frame::write(holder, &MapUsers).and_then(|()| frame::read(holder));
    match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(lost(io::ErrorKind::UnexpectedEof)),
        Err(error) => Err(lost(error)),
    }
}

/// Opens a namespace of this process.
fn open(kind: Namespaces) -> Result<OwnedFd, String> {
    let path = Path::new("/proc/self/ns").join(kind.name());
    let opened = File::open(&path).map(Into::into);
    opened.map_err(|error| format!("can't open {}: {error}", path.display()))
}

/// The holder's life: it answers the copy, and waits for its end.
fn hold(pid: Pid, mut copy: UnixStream, users: &Users) -> io::Result<Side> {
    // Who has the other ends of these must see when the copy is gone.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    while let Ok(Some(MapUsers)) = frame::read(&mut copy) {
        frame::write(&mut copy, &users.give(pid))?;
    }
    loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Ok(Some((_, status))) if status.stopped() => {
                // Nothing inside can stop it, and whoever did outside is not asked.
                let _ = kill_process(pid, Signal::CONT);
            }
            Ok(Some((_, status))) => {
                let code = status
                    .exit_status()
                    .and_then(|code| u8::try_from(code).ok());
                return Ok(Side::Outside(code.unwrap_or(u8::MAX)));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Joins the namespaces of another worker, which we were handed.
fn shared(handed: &[i32]) -> Result<Side, String> {
    let cant = |error: io::Error| format!("can't join the namespaces of a worker: {error}");
    let mut all = Vec::new();
    for number in handed {
        let namespace = inherited(*number).ok_or_else(|| cant(io::ErrorKind::NotFound.into()))?;
        let link = fs::read_link(format!("/proc/self/fd/{number}")).map_err(cant)?;
        let kind = link.to_str().and_then(Namespaces::of_link);
        all.push((kind.unwrap_or_default(), namespace));
    }
    let of = |kind: Namespaces| all.iter().find(|(other, _)| *other == kind);
    let enter = |kind: Namespaces| match of(kind) {
        Some((_, namespace)) => join(namespace.as_fd(), kind).map_err(cant),
        None => Ok(()),
    };
    // Who has no rights gets them in there; who has must use them before he is.
    let is_able = has_rights();
    if !is_able {
        enter(Namespaces::USER)?;
    }
    enter(Namespaces::PROCESS)?;
    let (ours, theirs) = UnixStream::pair().map_err(cant)?;
    if let Some(pid) = divide(Namespaces::NONE).map_err(cant)? {
        drop(theirs);
        return hold(pid, ours, &Users::default()).map_err(cant);
    }
    drop((ours, theirs));
    let enter_all = || {
        for kind in [Namespaces::NETWORK, Namespaces::MEMORY, Namespaces::MOUNT] {
            enter(kind)?;
        }
        if is_able {
            enter(Namespaces::USER)?;
        }
        if of(Namespaces::MEMORY).is_some() && !geteuid().is_root() {
            namespaces::gain_nothing().map_err(cant)?;
        }
        Ok(())
    };
    if let Err(why) = enter_all() {
        return Ok(Side::Failed(why));
    }
    end_with_holder();
    // They are not its own, but who lives with it lives there too.
    let namespaces = all.into_iter().map(|(_, namespace)| namespace);
    Ok(Side::Inside(namespaces.collect()))
}

/// Whether this process may make namespaces as it is.
fn has_rights() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    set.is_some_and(|set| set >> ADMIN & 1 == 1)
}

/// Users and groups as they are inside: the same as outside, as far as we may say so.
#[derive(Default)]
struct Users {
    uid_map: String,
    gid_map: String,
    /// Whether it is one user and one group alone, of which the kernel asks that no other group be taken.
    is_one: bool,
}

impl Users {
    fn of_this_process(is_able: bool) -> Result<Self, String> {
        if !is_able {
            let (user, group) = (geteuid().as_raw(), getegid().as_raw());
            return Ok(Self {
                uid_map: format!("{user} {user} 1\n"),
                gid_map: format!("{group} {group} 1\n"),
                is_one: true,
            });
        }
        let read = |name: &str| {
            let path = format!("/proc/self/{name}");
            let text = fs::read_to_string(&path);
            text.map(|text| same(&text))
                .map_err(|error| format!("can't read {path}: {error}"))
        };
        Ok(Self {
            uid_map: read("uid_map")?,
            gid_map: read("gid_map")?,
            is_one: false,
        })
    }

    fn give(&self, pid: Pid) -> Result<(), String> {
        let write = |name: &str, text: &str| {
            let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
            let written = fs::write(path, text);
            written.map_err(|error| {
                format!(
                    "can't write {name} of a user namespace: {error}; {}",
                    remedy()
                )
            })
        };
        if self.is_one {
            write("setgroups", "deny")?;
        }
        write("uid_map", &self.uid_map)?;
        write("gid_map", &self.gid_map)
    }
}

/// Each range of a map onto itself: user_namespaces(7).
fn same(map: &str) -> String {
    let mut text = String::new();
    for line in map.lines() {
        let mut words = line.split_whitespace();
        if let (Some(first), Some(_), Some(count)) = (words.next(), words.next(), words.next()) {
            text.push_str(&format!("{first} {first} {count}\n"));
        }
    }
    text
}

/// Why there are no such namespaces, and what to do about it.
fn why_not(new: Namespaces, error: &io::Error) -> String {
    let what = if new.has(Namespaces::USER) {
        "user namespaces"
    } else if new.has(Namespaces::PROCESS) {
        "process namespaces"
    } else if new.has(Namespaces::MOUNT) {
        "mount namespaces"
    } else {
        "network namespaces"
    };
    format!("{what} are not allowed here ({error}): {}", remedy())
}

/// What keeps us from it: the settings that are known to, or else what remains.
fn remedy() -> String {
    let is =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "set `sysctl kernel.unprivileged_userns_clone=1`, or run as root".to_owned();
    }
    if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) && !has_rights()
    {
        return "AppArmor restricts them: set `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, give orchestrate a \
                profile with `userns`, or run as root"
            .to_owned();
    }
    for kind in ["user", "pid", "mnt", "net", "ipc"] {
        if is(&format!("/proc/sys/user/max_{kind}_namespaces"), "0") {
            return format!("`sysctl user.max_{kind}_namespaces` is 0: set it to 1000, say");
        }
    }
    "where this is a container, start it with `--security-opt seccomp=unconfined`, or with `--cap-add SYS_ADMIN` for root; \
     else see user_namespaces(7)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_mapped_onto_themselves() {
        assert_eq!(
            same("         0          0 4294967295\n"),
            "0 0 4294967295\n"
        );
        assert_eq!(
            same("0 100000 65536\n65536 7 1\n"),
            "0 0 65536\n65536 65536 1\n"
        );
    }

    #[test]
    fn links_say_what_kind_of_namespace_they_are() {
        let kind = Namespaces::of_link("net:[4026531840]");
        assert_eq!(kind, Some(Namespaces::NETWORK));
        assert_eq!(Namespaces::of_link("/dev/null"), None);
        assert_eq!(Namespaces::of_link("uts:[4026531838]"), None);
    }
}
