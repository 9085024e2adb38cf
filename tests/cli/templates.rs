//! Templates and the environment of a job.

use crate::support::Project;

#[test]
fn a_worker_has_a_process_id_a_slot_and_resources_of_its_own() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\n\
        resources = { database = \"db_<pid>\", bucket-name = \"b-<slot>\" }\n\
        env = { URL = \"postgres://localhost/<database>\", N = 3, HOME_OR = \"<env:NOT_SET_AT_ALL|none>\" }\n";
    let check = "set -e\n\
        [ \"$URL\" = \"postgres://localhost/db_$ORCHESTRATE_PID\" ]\n\
        [ \"$ORCHESTRATE_RESOURCE_DATABASE\" = \"db_$PPID\" ]\n\
        [ \"$ORCHESTRATE_RESOURCE_BUCKET_NAME\" = \"b-$ORCHESTRATE_SLOT\" ]\n\
        [ \"$N\" = 3 ] && [ \"$HOME_OR\" = none ]\n\
        [ -d \"$TMPDIR\" ] && [ \"$TMPDIR\" = \"$ORCHESTRATE_TMP\" ] && [ -z \"$(ls -A \"$TMPDIR\")\" ]\n\
        touch \"$TMPDIR/mine\"; echo \"$TMPDIR\" >> folders; echo \"$ORCHESTRATE_RESOURCE_DATABASE\" >> databases";
    let project = Project::with(manifest)
        .script("t/a", check)
        .script("t/b", check)
        .script("t/c", check);
    project.run(&["-n", "2"]).exits(0);
    let folders = project.read("folders");
    assert_eq!(folders.lines().count(), 3);
    for folder in folders.lines() {
        assert!(
            !std::path::Path::new(folder).exists(),
            "{folder} was not removed"
        );
    }
}

/// What the jobs of a worker have in common is made once: what they have not must be each job's own all the same, and of two
/// variables of one name the stronger counts, whichever of them is the same for all.
#[test]
fn each_job_has_its_own_values_and_the_stronger_variable() {
    let manifest = "[runners.r]\nrun = [\"<items>\"]\nresults = \"exit\"\nchunk-size = 1\n\
        env = { FIXED_OVER_OWN = \"<tmp>\", OWN_OVER_FIXED = \"fixed\", OF_RUNNER = \"<tmp>/r\" }\n\
        [groups.g]\nrunner = \"r\"\nfiles = [\"t/*\"]\nworkers = 1\nretries = 1\n\
        resources = { folder = \"<tmp>/f\" }\n\
        env = { FIXED_OVER_OWN = \"fixed\", OWN_OVER_FIXED = \"<tmp>\", INNER = \"<folder>/x\", TRY = \"<attempt>\" }\n";
    let check = "set -e\n\
        [ \"$FIXED_OVER_OWN\" = fixed ]\n\
        [ \"$OWN_OVER_FIXED\" = \"$TMPDIR\" ] && [ -d \"$TMPDIR\" ]\n\
        [ \"$OF_RUNNER\" = \"$TMPDIR/r\" ] && [ \"$INNER\" = \"$TMPDIR/f/x\" ]\n\
        [ \"$ORCHESTRATE_RESOURCE_FOLDER\" = \"$TMPDIR/f\" ]\n\
        [ \"$TRY\" = \"$ORCHESTRATE_ATTEMPT\" ]\n\
        echo \"$TMPDIR\" >> folders; echo \"$TRY\" >> tries\n\
        case $0 in *flaky) [ \"$TRY\" = 2 ];; esac";
    let project = Project::with(manifest)
        .script("t/a", check)
        .script("t/b", check)
        .script("t/flaky", check);
    project.run(&[]).exits(0).says("1 flaky");
    let read = project.read("folders");
    let mut folders: Vec<_> = read.lines().collect();
    folders.sort_unstable();
    folders.dedup();
    assert_eq!(folders.len(), 4, "{read}");
    let read = project.read("tries");
    let mut tries: Vec<_> = read.lines().collect();
    tries.sort_unstable();
    assert_eq!(tries, ["1", "1", "1", "2"]);
}

/// What is behind a NUL would be a variable of its own.
#[test]
fn a_value_with_a_nul_is_an_error_and_no_second_variable() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n\
        before-worker = [\"printf 'A=a\\\\0SNEAKED=1' >> $ORCHESTRATE_ENV\"]\n";
    let project = Project::with(manifest).script("t/a", "touch ran");
    let ran = project.run(&[]).exits(3).says("has a NUL byte");
    assert!(!project.path().join("ran").exists(), "{}", ran.stdout);
}

#[test]
fn a_job_starts_clean() {
    let check = "[ \"$(readlink /proc/self/fd/0)\" = /dev/null ] || exit 1\n\
        [ \"$(ps -o sid= -p $$ | tr -d ' ')\" = $$ ] || exit 2\n\
        [ \"$(ls /proc/$$/fd | wc -l)\" -le 5 ] || { ls -l /proc/$$/fd; exit 3; }";
    Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", check)
        .run(&[])
        .exits(0);
}

/// What the page on runners says of names and how they are passed.
#[test]
fn a_file_is_passed_so_that_it_is_no_option_and_a_report_may_name_it_so() {
    let manifest = "[runners.files]\nrun = [\"./run\", \"<report>\", \"<items>\"]\nresults = \"events\"\n\
        [runners.listed]\nlist = [\"./list\", \"<files>\"]\nrun = [\"./run\", \"<report>\", \"<items>\"]\nresults = \"events\"\n\
        [groups.files]\nrunner = \"files\"\nfiles = [\"t/*\", \"-x\"]\n\
        [groups.listed]\nrunner = \"listed\"\nfiles = [\"t/*\", \"-x\"]\n\
        [groups.plain]\ncommand = [\"./note\", \"<items>\"]\nitems = [\"t/1\", \"-x\", \"-y\"]\n";
    let project = Project::with(manifest)
        .file("t/1", "")
        .file("-x", "")
        .script("note", "for it; do echo plain $it >>log; done")
        .script("list", "for it; do echo list $it >>log; echo test of ${it#./}; done")
        .script(
            "run",
            "report=$1; shift; for it; do echo $ORCHESTRATE_GROUP $it >>log\n\
             echo \"{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$it\\\",\\\"outcome\\\":\\\"passed\\\"}\" >>$report; done",
        );
    let ran = project.run(&[]).exits(0);
    assert_eq!(
        ran.outcomes(),
        [
            "files::-x passed",
            "files::t/1 passed",
            "listed::test of -x passed",
            "listed::test of t/1 passed",
            "plain::-x passed",
            "plain::-y passed",
            "plain::t/1 passed"
        ]
    );
    let log = project.read("log");
    let mut log: Vec<_> = log.lines().collect();
    log.sort_unstable();
    assert_eq!(
        log,
        [
            "files ./-x",
            "files ./t/1",
            "list ./-x",
            "list t/1",
            "listed test of -x",
            "listed test of t/1",
            "plain -y",
            "plain ./-x",
            "plain t/1"
        ]
    );
}

#[test]
fn a_name_can_never_be_code() {
    let manifest = "[groups.g]\ncommand = \"cat <items> > /dev/null && echo <items> >> names\"\nitems = { command = [\"ls\", \"-1\"] }\n\
        workers = 1\n";
    let project = Project::with(manifest)
        .file("a b", "")
        .file("$(touch hacked)", "")
        .file("`touch hacked`", "")
        .file("-n", "")
        .file("<pid>", "");
    project.run(&[]).exits(0);
    assert!(!project.path().join("hacked").exists());
    assert!(
        project.read("names").contains("<pid>"),
        "a value is never expanded again"
    );
}

#[test]
fn values_in_a_shell_line_are_not_code_either() {
    let project =
        Project::with("[groups.g]\ncommand = \"[ \\\"<env:EVIL>\\\" = '$(touch hacked)' ]\"\n")
            .env("EVIL", "$(touch hacked)");
    project.run(&[]).exits(0);
    assert!(!project.path().join("hacked").exists());
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    Project::with("[groups.g]\ncommand = [\"true\", \"<env:NOT_SET_AT_ALL>\"]\n")
        .run(&[])
        .exits(1)
        .says("<env:NOT_SET_AT_ALL> has no value: set the variable, or give it a default");
}

#[test]
fn a_port_is_free_and_the_workers_own() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 3\nenv = { PORT = \"<port>\" }\n";
    let script = "echo $PORT >> ports; while [ $(wc -l < ports) -lt 3 ]; do sleep 0.02; done";
    let project = Project::with(manifest)
        .script("t/a", script)
        .script("t/b", script)
        .script("t/c", script);
    project.run(&["-n", "3"]).exits(0);
    let mut ports: Vec<u16> = project
        .read("ports")
        .lines()
        .map(|port| port.parse().unwrap())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
}

#[test]
fn variables_of_other_tools() {
    let manifest = "[groups.g]\ncommand = \"[ $PYTEST_XDIST_WORKER = gw0 ] && [ -z $TEST_ENV_NUMBER ] && [ $JEST_WORKER_ID = 1 ] && [ -d $TEST_TMPDIR ]\"\n\
        compat = [\"xdist\", \"parallel-tests\", \"jest\", \"bazel\"]\n";
    Project::with(manifest).run(&[]).exits(0);
}

#[test]
fn items_run_in_chunks() {
    let manifest = "[groups.g]\ncommand = [\"./count\", \"<items>\"]\nitems = [\"a\", \"b\", \"c\", \"d\", \"e\"]\nchunk-size = 2\nchunk-by = \"any\"\n";
    let project = Project::with(manifest).script("count", "echo $# >> counts");
    let ran = project.run(&[]).exits(0);
    let counts = project.read("counts");
    let mut counts: Vec<_> = counts.lines().collect();
    counts.sort_unstable();
    assert_eq!(counts, ["1", "2", "2"]);
    assert_eq!(ran.outcomes().len(), 5);
}
