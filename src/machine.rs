//! What the machine has for us: processors and memory, as far as a control group lets us have them.
//!
//! It reads and judges nothing; whoever plans and admits is told, and stays pure.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// The processors that we may use: affinity and a control group's quota are taken into account.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What there is.
    pub total: u64,
    /// What could be taken now without anybody's being ended or put on disk.
    pub free: u64,
}

/// Where memory is read from: found once, since it is looked at often.
#[derive(Clone, Debug)]
pub struct Gauge {
    meminfo: PathBuf,
    vmstat: PathBuf,
    groups: Vec<Group>,
    /// Where our own groups count what the kernel killed in them.
    kills: Vec<PathBuf>,
}

/// A control group that bounds us.
#[derive(Clone, Debug)]
struct Group {
    most: PathBuf,
    taken: PathBuf,
    stat: PathBuf,
    /// What of the taken the kernel takes back when it is short, by its names in `stat`: files that can be read again.
    cache: &'static [&'static str],
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauge {
    /// The machine's, and that of each control group that we are in.
    #[must_use]
    pub fn new() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (groups, kills) = groups(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        Self {
            meminfo: "/proc/meminfo".into(),
            vmstat: "/proc/vmstat".into(),
            groups,
            kills: kills.into_iter().filter(|path| path.exists()).collect(),
        }
    }

    /// How many processes the kernel has killed for want of memory: in our control groups, or where these do not count it on
    /// the whole machine; 0 where nobody does.
    #[must_use]
    pub fn kills(&self) -> u64 {
        let count = |path: &Path| {
            let text = fs::read_to_string(path).ok()?;
            Some(stat(&text, &["oom_kill"]))
        };
        let own = self.kills.iter().filter_map(|path| count(path));
        own.max().or_else(|| count(&self.vmstat)).unwrap_or(0)
    }

    /// What there is now; none where the system does not tell.
    #[must_use]
    pub fn read(&self) -> Option<Memory> {
        let text = fs::read_to_string(&self.meminfo).ok()?;
        let mut memory = Memory {
            total: kilobytes(&text, "MemTotal:")?,
            free: kilobytes(&text, "MemAvailable:")?,
        };
        for group in &self.groups {
            let number =
                |path: &Path| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
            // `max`, or nothing there, is no bound.
            let Some(most) = number(&group.most).filter(|most| *most < memory.total) else {
                continue;
            };
            let Some(taken) = number(&group.taken) else {
                continue;
            };
            let text = fs::read_to_string(&group.stat).unwrap_or_default();
            let cache = stat(&text, group.cache);
            memory.total = most;
            memory.free = memory
                .free
                .min(most.saturating_sub(taken.saturating_sub(cache)));
        }
        Some(memory)
    }
}

/// The values of lines `name number`, added up.
fn stat(text: &str, names: &[&str]) -> u64 {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let wanted = lines.filter(|(name, _)| names.contains(name));
    wanted
        .filter_map(|(_, number)| number.trim().parse::<u64>().ok())
        .sum()
}

/// The value of a line of proc_meminfo(5).
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(number * 1024)
}

/// The control groups that we are in and that bound memory, from ours up to what is mounted, and where ours count what was
/// killed, cgroups(7).
fn groups(membership: &str, mounts: &str) -> (Vec<Group>, Vec<PathBuf>) {
    let mut list = Vec::new();
    let mut kills = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(inside)) = (fields.next(), fields.next()) else {
            continue;
        };
        let is_second = controllers.is_empty();
        if !is_second && !controllers.split(',').any(|name| name == "memory") {
            continue;
        }
        // proc_pid_mountinfo(5): the fourth field is what of it is mounted, the fifth where; the type comes after ` - `.
        let mounted = mounts.lines().find_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let fits = if is_second {
                tail.starts_with("cgroup2 ")
            } else {
                tail.starts_with("cgroup ")
                    && tail
                        .rsplit(' ')
                        .next()?
                        .split(',')
                        .any(|name| name == "memory")
            };
            let mut fields = head.split(' ').skip(3);
            fits.then(|| Some((fields.next()?, fields.next()?)))
                .flatten()
        });
        let Some((root, mount)) = mounted else {
            continue;
        };
        let below = inside.strip_prefix(root).unwrap_or(inside);
        let mount = Path::new(mount);
        let own = mount.join(below.trim_start_matches('/'));
        kills.push(own.join(if is_second {
            "memory.events"
        } else {
            "memory.oom_control"
        }));
        for folder in own.ancestors().take_while(|path| path.starts_with(mount)) {
            let (most, taken, cache) = if is_second {
                (
                    "memory.max",
                    "memory.current",
                    &["inactive_file", "active_file", "slab_reclaimable"][..],
                )
            } else {
                (
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    &["total_inactive_file", "total_active_file"][..],
                )
            };
            list.push(Group {
                most: folder.join(most),
                taken: folder.join(taken),
                stat: folder.join("memory.stat"),
                cache,
            });
        }
    }
    (list, kills)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_bounds_what_the_machine_has() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "meminfo",
            "MemTotal:        1000 kB\nMemFree: 1 kB\nMemAvailable:     800 kB\n",
        );
        write("memory.max", "max\n");
        write("memory.current", "999999\n");
        write("a/memory.max", "512000\n");
        write("a/memory.current", "400000\n");
        write(
            "a/memory.stat",
            "anon 300000\ninactive_file 90000\nactive_file 7000\nslab_reclaimable 3000\n",
        );
        let mount = root.display();
        let mounts = format!("30 23 0:26 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n");
        let gauge = |membership: &str, mounts: &str| {
            let (groups, kills) = groups(membership, mounts);
            Gauge {
                meminfo: root.join("meminfo"),
                vmstat: root.join("vmstat"),
                groups,
                kills,
            }
        };
        let free = |gauge: Gauge| gauge.read().map(|memory| (memory.total, memory.free));
        assert_eq!(
            free(gauge("0::/a/b\n", &mounts)),
            Some((512_000, 212_000)),
            "that of the group above"
        );
        assert_eq!(free(gauge("0::/\n", &mounts)), Some((1_024_000, 819_200)));
        assert_eq!(free(gauge("", "")), Some((1_024_000, 819_200)));
        // The first version, of which a part is mounted.
        write("memory.limit_in_bytes", "600000\n");
        write("memory.usage_in_bytes", "500000\n");
        write(
            "memory.stat",
            "total_inactive_file 30000\ntotal_active_file 20000\ninactive_file 7\n",
        );
        let mounts = format!("31 23 0:27 /docker/x {mount} rw - cgroup cgroup rw,memory\n");
        assert_eq!(
            free(gauge("7:cpu:/y\n4:memory:/docker/x\n", &mounts)),
            Some((600_000, 150_000))
        );
    }

    #[test]
    fn what_the_kernel_killed_is_counted_where_it_is_counted_nearest() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut gauge = Gauge {
            vmstat: root.join("vmstat"),
            kills: vec![root.join("memory.events")],
            ..Gauge::new()
        };
        assert_eq!(gauge.kills(), 0, "nobody counts");
        fs::write(root.join("vmstat"), "pgfault 7\noom_kill 23\n").unwrap();
        assert_eq!(gauge.kills(), 23);
        let events = "low 1\nmax 9\noom 4\noom_kill 2\noom_group_kill 5\n";
        fs::write(root.join("memory.events"), events).unwrap();
        assert_eq!(gauge.kills(), 2);
        gauge.kills = vec![root.join("memory.oom_control")];
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        fs::write(root.join("memory.oom_control"), control).unwrap();
        assert_eq!(gauge.kills(), 3);
    }

    #[test]
    fn this_machine_has_some() {
        if cfg!(target_os = "linux") {
            let memory = Gauge::new().read().unwrap();
            assert!(memory.free > 0 && memory.total >= memory.free);
        }
        assert!(cores() > 0);
    }
}
