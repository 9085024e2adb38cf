//! Presets that go with any tool: `junit` and `tap`.

use crate::support::Project;

#[test]
fn junit() {
    let project = Project::with(
        "[groups.g]\nrunner = \"junit\"\nfiles = [\"*.spec\"]\nwith = { command = [\"./tool\"] }\n[groups.own]\nrunner = \"junit\"\nfiles = [\"*.sh\"]\n",
    )
    .file("a.spec", "")
    .script("tool", "echo \"<testsuite name='S'><testcase name='x'/><testcase name='y'><error message='why'/></testcase></testsuite>\" >$ORCHESTRATE_REPORT; exit 1")
    .script("b.sh", "echo \"<testsuite><testcase name='z'><skipped message='no net'/></testcase></testsuite>\" >$ORCHESTRATE_REPORT")
    .script("c.sh", "kill -SEGV $$");
    assert_eq!(
        project.run(&[]).exits(1).says("why").outcomes(),
        [
            "g::a.spec::S::x passed",
            "g::a.spec::S::y errored",
            "own::b.sh::z skipped",
            "own::c.sh crashed",
        ]
    );
}

#[test]
fn tap() {
    let project = Project::with(
        "[groups.g]\nrunner = \"tap\"\nfiles = [\"*.txt\"]\nwith = { command = [\"cat\"] }\n[groups.own]\nrunner = \"tap\"\nfiles = [\"*.sh\"]\n",
    )
    .file("good.txt", "TAP version 14\n1..1\nok 1 - a\n")
    .file("few.txt", "TAP version 14\n1..2\nok 1 - a\n")
    .script("bad.sh", "echo 'not ok 1 - b'; echo 1..1; exit 1")
    .script("skips.sh", "echo '1..0 # SKIP no net'")
    .script("killed.sh", "echo 1..1; kill -KILL $$");
    assert_eq!(
        project.run(&[]).exits(1).outcomes(),
        [
            "g::few.txt errored",
            "g::good.txt passed",
            "own::bad.sh failed",
            "own::killed.sh crashed",
            "own::skips.sh skipped",
        ]
    );
}
