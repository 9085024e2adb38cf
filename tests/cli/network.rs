//! `network` and `isolation-level = "sandbox"` where nothing is hostile: what tests legitimately need goes on to work.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::bounds::works;
use crate::session::project;
use crate::support::{Project, python};

/// A suite whose session fixture binds one port, whoever runs it: each of its tests asks the server of its own worker.
const FIXED_PORT: &str = "import http.server, os, threading, urllib.request, pytest\n\
    PORT = int(open(os.path.join(os.path.dirname(__file__), 'port')).read())\n\
    class Handler(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       self.send_response(200); self.end_headers(); self.wfile.write(os.environ['ORCHESTRATE_SLOT'].encode())\n\
    \x20   def log_message(self, *words): pass\n\
    @pytest.fixture(scope='session')\n\
    def server():\n\
    \x20   server = http.server.HTTPServer(('127.0.0.1', PORT), Handler)\n\
    \x20   threading.Thread(target=server.serve_forever, daemon=True).start()\n\
    \x20   yield PORT\n\
    \x20   server.shutdown()\n\
    \x20   server.server_close()\n";

const ASKS: &str = "import os, time, urllib.request, pytest\n\
    @pytest.mark.parametrize('number', range(4))\n\
    def test_asks(server, number):\n\
    \x20   with urllib.request.urlopen('http://127.0.0.1:%d/' % server, timeout=10) as answer:\n\
    \x20       assert answer.read().decode() == os.environ['ORCHESTRATE_SLOT']\n\
    \x20   time.sleep(0.05)\n";

#[test]
fn a_fixed_port_is_each_workers_own() {
    if !works("private") {
        return;
    }
    // It is taken outside, too.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for more in [
        "",
        "session = \"cold\"",
        "isolation-level = \"sandbox\"",
        "isolation-level = \"pid-namespace\"\nisolation = \"chunk\"",
    ] {
        let manifest = format!("network = \"private\"\nchunk-size = 2\n{more}");
        let Some(project) = project(&manifest) else {
            return;
        };
        let mut project = project.file("conftest.py", FIXED_PORT).file("port", &port);
        for name in ["a", "b", "c", "d"] {
            project = project.file(&format!("test_{name}.py"), ASKS);
        }
        let ran = project.run(&["-n", "4"]).exits(0);
        assert_eq!(ran.events_of("test-finished").len(), 16, "{more}");
    }
}

/// Hooks of a worker, its session and its tests live in one place: what one leaves the others find.
#[test]
fn hooks_of_a_worker_are_where_its_tests_are() {
    if !works("private") || !works("sandbox") {
        return;
    }
    let Some(python) = python() else { return };
    let manifest = format!(
        "isolation-level = \"sandbox\"\nnetwork = \"private\"\nworkers = 2\nchunk-size = 1\n\
         before-worker = [\"echo <slot> >/tmp/worker; echo HOOK=<slot> >>$ORCHESTRATE_ENV; {python} serve.py & \
         while [ ! -e /tmp/up ]; do sleep 0.02; done\"]\n\
         after-worker = [\"cat /tmp/worker >>after\"]\n"
    );
    let Some(project) = project(&manifest) else {
        return;
    };
    let serve = "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 7777))\ns.listen()\n\
        open('/tmp/up', 'w').close()\ntime.sleep(600)\n";
    let tests = "import os, socket, pytest\n\
        @pytest.mark.parametrize('number', range(6))\n\
        def test_finds(number, tmp_path):\n\
        \x20   slot = open('/tmp/worker').read().strip()\n\
        \x20   assert slot == os.environ['HOOK'] == os.environ['ORCHESTRATE_SLOT']\n\
        \x20   socket.create_connection(('127.0.0.1', 7777), 10).close()\n";
    let project = project.file("test_t.py", tests).file("serve.py", serve);
    for session in ["auto", "cold"] {
        let manifest = project.read("fastest.toml");
        let manifest = manifest.replace(
            "[groups.g]\n",
            &format!("[groups.g]\nsession = {session:?}\n"),
        );
        fs::write(
            project.path().join("fastest.toml"),
            manifest.replace("session = \"auto\"\n", ""),
        )
        .unwrap();
        let ran = project.run(&[]).exits(0);
        assert_eq!(ran.events_of("test-finished").len(), 6, "{session}");
        assert!(!project.read("after").is_empty());
    }
}

#[test]
fn what_is_kept_of_a_sandbox_is_kept_outside() {
    if !works("sandbox") {
        return;
    }
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t\"]\nisolation-level = \"sandbox\"\nkeep-tmp = \"failed\"\n";
    let ran = Project::with(manifest)
        .script("t", "echo kept >$TMPDIR/file; exit 1")
        .run(&[])
        .exits(1);
    let message = ran.events_of("test-finished")[0]["message"].to_string();
    let place = message.split("temporary folder is kept: ").nth(1).unwrap();
    let place = Path::new(place.trim_end_matches('"'));
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "kept\n");
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn coverage_of_sandboxes_is_gathered() {
    if !works("sandbox") {
        return;
    }
    let Some(project) = project("isolation-level = \"sandbox\"\nworkers = 2\nchunk-size = 1")
    else {
        return;
    };
    let project = project
        .file(
            "pytest.ini",
            "[pytest]\naddopts = --cov=code_ --cov-report=term-missing --cov-fail-under=100\n",
        )
        .file(
            "code_.py",
            "def a():\n    return 1\n\ndef b():\n    return 2\n",
        )
        .file(
            "test_a.py",
            "import code_\ndef test_a(): assert code_.a() == 1\n",
        )
        .file(
            "test_b.py",
            "import code_\ndef test_b(): assert code_.b() == 2\n",
        );
    project.run(&["-n", "2"]).exits(0);
}

#[test]
fn a_shared_session_and_a_network_of_each_worker_do_not_go_together() {
    let Some(project) = project("network = \"private\"\nsession = \"shared\"") else {
        return;
    };
    let ran = project
        .file("test_a.py", "def test_a(): pass\n")
        .run(&[])
        .exits(2);
    assert!(
        ran.stderr
            .contains("`network` gives each worker one of its own"),
        "{}",
        ran.stderr
    );
}

/// Whoever can't have it is told once, before anything runs, and with what to do.
#[test]
fn a_sandbox_of_a_project_that_is_the_temporary_folder_is_refused() {
    if !works("sandbox") {
        return;
    }
    let project = Project::with(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t\"]\nisolation-level = \"sandbox\"\n",
    )
    .script("t", "touch ran");
    let mut command = project.command(&["run"]);
    command.env("TMPDIR", project.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("set TMPDIR to another"), "{said}");
    assert!(!project.path().join("ran").exists());
}

#[test]
fn each_network_and_level_lists_and_judges_alike() {
    for more in [
        "network = \"private\"",
        "network = \"none\"",
        "isolation-level = \"cgroup\"\nnetwork = \"private\"",
    ] {
        if !works("private") || more.contains("cgroup") && !works("cgroup") {
            continue;
        }
        let ran = Project::with(&format!(
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"1s\"\ngrace = \"200ms\"\n{more}\n\
             [groups.listed]\ncommand = [\"./one\", \"<items>\"]\nitems = {{ command = [\"./list\"] }}\n{more}\n"
        ))
        .script("list", "echo a; echo b")
        .script("one", "exit 0")
        .script("t/pass", "exit 0")
        .script("t/fail", "exit 3")
        .script("t/hang", "exec sleep 600")
        .script("t/leak", "setsid sleep 600 & exit 0")
        .run(&[])
        .exits(1);
        assert_eq!(
            ran.outcomes(),
            [
                "g::t/fail failed",
                "g::t/hang timed-out",
                "g::t/leak leaked",
                "g::t/pass passed",
                "listed::a passed",
                "listed::b passed"
            ],
            "{more}"
        );
    }
}
