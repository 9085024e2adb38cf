//! Places for temporary folders and programs, as containers and hardened systems have them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::arena::{Arena, is_root};

/// Where a project is while it runs.
const HERE: &str = "/mnt";

/// Runs `orchestrate run` where a script has mounted what it likes, for it alone. Without `TMPDIR`, as in a container.
/// `None` where nothing can be mounted.
fn run(arena: &Arena, mounts: &str, variables: &[(&str, &Path)]) -> Option<(i32, String)> {
    let mut probe = Command::new("unshare");
    probe.args(["-m", "mount", "-t", "tmpfs", "none", "/dev/shm"]);
    let probe = probe.stderr(Stdio::null()).status();
    if !is_root() || !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting is not allowed here");
        return None;
    }
    let run = arena.run_command(&[]);
    let mut command = Command::new("unshare");
    // The project itself may be below what is mounted over.
    let script = format!("mount --bind . {HERE} && {mounts} && cd {HERE} && exec \"$0\" \"$@\"");
    command.args(["-m", "sh", "-c", &script]);
    command.arg(run.get_program()).args(run.get_args());
    command.current_dir(arena.path());
    command.env_remove("TMPDIR").env_remove("XDG_RUNTIME_DIR");
    command.envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some((output.status.code().unwrap_or(-1), said))
}

/// As Docker starts a container.
#[test]
fn where_no_program_may_run_there_are_no_temporary_folders() {
    let arena = Arena::new("[groups.g]\ncommand = [\"./job\"]\n").script(
        "job",
        "printf '#!/bin/sh\\nexit 0\\n' > $TMPDIR/prog; chmod +x $TMPDIR/prog; echo $TMPDIR > place; exec $TMPDIR/prog",
    );
    let mounts = "mount -t tmpfs -o nosuid,nodev,noexec,size=64m shm /dev/shm";
    let Some((code, said)) = run(&arena, mounts, &[]) else {
        return;
    };
    assert_eq!(code, 0, "{said}");
    assert!(!arena.read("place").starts_with("/dev/shm"), "{said}");
    arena.has_no_process();
}

/// Nor where there is little room: 64 MB, or what a session has for its sockets.
#[test]
fn temporary_folders_are_where_there_is_room() {
    let arena = Arena::new("[groups.g]\ncommand = [\"./job\"]\n")
        .script("job", "head -c 120000000 /dev/zero > $TMPDIR/big");
    std::fs::create_dir(arena.path().join("session")).unwrap();
    let session = Path::new(HERE).join("session");
    let mounts = format!(
        "mount -t tmpfs -o size=100m shm /dev/shm && mount -t tmpfs -o mode=700,size=100m run {}",
        session.display()
    );
    let Some((code, said)) = run(&arena, &mounts, &[("XDG_RUNTIME_DIR", &session)]) else {
        return;
    };
    assert_eq!(code, 0, "{said}");
    arena.has_no_process();
}

/// What a job prints takes no room from what another one writes, and of it no more is kept than will be read.
#[test]
fn output_does_not_compete_with_files() {
    let arena = Arena::new(
        "[run]\nworkers = 2\n[groups.g]\ncommand = [\"./job\", \"<items>\"]\nitems = [\"print\", \"write\"]\nchunk-size = 1\n",
    )
    .script(
        "job",
        "case $1 in print) head -c 40000000 /dev/zero; touch printed; until [ -e written ]; do sleep 0.01; done;; \
        write) until [ -e printed ]; do sleep 0.01; done; head -c 40000000 /dev/zero > $TMPDIR/big; code=$?; touch written; exit $code;; esac",
    );
    let small = arena.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounts = format!("mount -t tmpfs -o size=48m small {}", small.display());
    let Some((code, said)) = run(&arena, &mounts, &[("TMPDIR", &small)]) else {
        return;
    };
    assert_eq!(code, 0, "{said}");
    arena.has_no_process();
}

#[test]
fn a_program_on_a_file_system_without_programs_has_that_as_its_reason() {
    let arena = Arena::new("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", "exit 0")
        .file("t/b", "#!/bin/sh\n");
    let folder = Path::new(HERE).join("t");
    let folder = folder.display();
    let mounts = format!("mount --bind {folder} {folder} && mount -o remount,bind,noexec {folder}");
    let Some((code, said)) = run(&arena, &mounts, &[]) else {
        return;
    };
    assert_eq!(code, 1, "{said}");
    let why = "t/a: Permission denied (os error 13); its file system is mounted noexec: no program can run from there";
    assert!(said.contains(why), "{said}");
    assert!(
        said.contains("t/b: Permission denied (os error 13); it is not executable: run `chmod +x"),
        "{said}"
    );
}

/// As a test for a chroot does that forgets to unmount. What is mounted is not the job's to lose.
#[test]
fn what_a_job_mounts_in_its_temporary_folder_is_not_removed() {
    for level in ["supervisor", "pid-namespace"] {
        let arena = Arena::new(&format!(
            "[groups.g]\ncommand = [\"./job\"]\nisolation-level = {level:?}\n"
        ))
        .script(
            "job",
            "mkdir $TMPDIR/one $TMPDIR/one/deep $TMPDIR/two; echo x > $TMPDIR/two/x; mount --bind \"$PWD/victim\" $TMPDIR/one/deep",
        )
        .file("victim/file", "")
        .file("victim/folder/file", "");
        // In one file system with it, which tells nothing of what is mounted.
        let tmp = Path::new(HERE).join("tmp");
        let Some((code, said)) = run(&arena, "true", &[("TMPDIR", &tmp)]) else {
            return;
        };
        assert_eq!(code, 0, "{said}");
        for name in ["victim/file", "victim/folder/file"] {
            assert!(
                arena.path().join(name).exists(),
                "{level}: {name} is gone: {said}"
            );
        }
        arena.has_no_process();
    }
}
