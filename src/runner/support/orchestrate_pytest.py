"""Runs real pytest and tells `orchestrate` what it does.

    orchestrate_pytest.py list REPORT [ARGUMENT…]    one object a test: id, file, line, tags, keywords; or id and error
    orchestrate_pytest.py run  REPORT [ARGUMENT…]    {"event":"started",…}, {"event":"finished",…}, as they happen
    orchestrate_pytest.py session [ARGUMENT…]        collects once, then forks a worker for each connection
    orchestrate_pytest.py finish  [ARGUMENT…]        runs no test: makes one of the coverage that the processes of a group left

The report is a file of its own, opened before any test is imported: what a test prints can't be taken for a result. A session
has a socket instead (docs/session-protocol.md). An id is pytest's own, with its path relative to the current folder (pytest's
is relative to its rootdir, which it would not accept back from another folder).
"""

import atexit
import gc
import os
import resource
import signal
import sys
import threading
import time
import weakref

import orchestrate_coverage
from orchestrate_report import Report

# While tests are loaded and collected next to nothing becomes garbage, and looking for it takes a tenth of the time.
COLLECTING = gc.get_threshold()
LOADING = (500_000, *COLLECTING[1:])

# Marks whose arguments `orchestrate` itself understands.
GROUPS = ("xdist_group", "group")


# Where it began: a test may go elsewhere.
HERE = os.getcwd()
RELATIVE = {}


def item_id(item):
    """(id, file): `item.nodeid` with its path relative to the current folder."""
    place = getattr(item, "path", None) or item.fspath
    path = RELATIVE.get(place)
    if path is None:
        path = RELATIVE[place] = os.path.relpath(str(place), HERE)
    rest = item.nodeid.split("::", 1)[1:]
    return "::".join([path.replace(os.sep, "/")] + rest), path


def keywords(item):
    """The names that pytest's own `-k` looks in: the item's, its parents', its markers', and more; each version has its rules."""
    try:
        from _pytest.mark import KeywordMatcher

        return sorted(KeywordMatcher.from_item(item)._names)
    except (ImportError, AttributeError):
        # They are no public part of pytest. Without them, the words of the id are looked in.
        return None


def record_of(name, path, item):
    """What a listing says of a test."""
    line = item.location[1]
    record = {"id": name, "file": path, "line": None if line is None else line + 1}
    marks = list(item.iter_markers())
    record["tags"] = sorted({mark.name for mark in marks})
    for mark in marks:
        first = mark.args[0] if mark.args else mark.kwargs.get("name", mark.kwargs.get("timeout"))
        # The nearest mark comes first, and is the strongest.
        if mark.name in GROUPS and first is not None:
            record.setdefault("group", str(first))
        elif mark.name == "timeout" and isinstance(first, (int, float)):
            record.setdefault("timeout", first)
    return record


class Lister:
    """Keeps what was collected, and what could not be."""

    def __init__(self):
        self.broken = []
        # (name, path, item) of each test.
        self.tests = []
        # Why a session can't be had, and what is its own loop.
        self.cold = None
        self.loop = None

    def pytest_collectreport(self, report):
        if report.failed:
            name = report.nodeid or "pytest"
            self.broken.append(dict(id=name, file=report.nodeid.split("::")[0] or None, error=str(report.longrepr)))

    def pytest_collection_finish(self, session):
        self.tests = [(*item_id(item), item) for item in session.items]
        self.cold = why_cold(session.config.pluginmanager, self.loop)
        if self.loop is not None:
            self.tell_apart()

    def tell_apart(self):
        """Numbers names that came before: a session is asked for tests by name, and pytest itself would not know the number."""
        taken = {name for name, _, _ in self.tests}
        seen = set()
        for place, (name, path, item) in enumerate(self.tests):
            plain, number = name, 1
            while name in seen or (number > 1 and name in taken):
                number += 1
                name = "%s#%d" % (plain, number)
            seen.add(name)
            self.tests[place] = (name, path, item)

    def records(self, with_keywords):
        """What a listing says, line for line."""
        yield from self.broken
        for name, path, item in self.tests:
            record = record_of(name, path, item)
            if with_keywords:
                record["keywords"] = keywords(item)
            yield record
        yield {"event": "listed", "cold": self.cold}


class Runner:
    """Tells when a test starts and how it ends."""

    def __init__(self, report):
        self.report = report
        self.current = None
        self.reports = []

    def begin(self, name):
        self.current = name
        self.reports = []
        # The clock is CLOCK_MONOTONIC, the same as the supervisor's: it bounds each test's time, not only the job's.
        self.report.write(event="started", id=name, at=time.monotonic())
        self.report.flush()

    def pytest_runtest_logreport(self, report):
        if report.outcome == "rerun":
            return
        self.reports.append(report)
        if report.when == "teardown":
            self.finish()

    def finish(self):
        reports, self.reports = self.reports, []
        outcome, decisive = "passed", None
        for report in reports:
            if report.failed:
                # As in pytest's own summary: a failure outside of the test's body is an error.
                outcome = "failed" if report.when == "call" and outcome != "errored" else "errored"
                decisive = decisive or report
            elif decisive is None and report.skipped:
                outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
                decisive = report
            elif decisive is None and report.when == "call" and hasattr(report, "wasxfail"):
                outcome, decisive = "xpassed", report
        record = {"event": "finished", "id": self.current, "outcome": outcome}
        record["seconds"] = sum(report.duration for report in reports)
        if decisive is not None:
            record["message"] = reason(decisive)
            parts = [] if outcome in ("skipped", "xpassed") else [decisive.longreprtext]
            parts += ["-- %s --\n%s" % section for section in reports[-1].sections]
            record["output"] = "\n".join(part for part in parts if part)
        self.report.write(**record)


class Follower(Runner):
    """Follows pytest's own loop, which chooses the tests."""

    def pytest_runtest_protocol(self, item):
        self.begin(item_id(item)[0])


def reason(report):
    """Why, in a line."""
    if getattr(report, "wasxfail", None):
        return report.wasxfail
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().split("\n")[0] if text else ""


class Session:
    """In the place of pytest's own loop over the tests: serves connections, each in a fork."""

    def __init__(self, host, lister, ending):
        self.host = host
        self.lister = lister
        self.ending = ending
        lister.loop = self
        self.runner = Runner(None)
        self.session = None
        self.items = {}
        self.places = {}

    def pytest_runtestloop(self, session):
        self.session = session
        for place, (name, _, item) in enumerate(self.lister.tests):
            self.items[name] = item
            self.places[name] = place
        reporter = self.settle_down(session.config.pluginmanager)
        self.host.may_leave(self.ending.over(session.config.hook))
        gc.freeze()
        # Unless the project has chosen its own.
        if gc.get_threshold() == LOADING:
            gc.set_threshold(*COLLECTING)
        self.host.serve(self.lister.records, self.work)
        if reporter is not None:
            session.config.pluginmanager.register(reporter, "terminalreporter")
        # What could not be collected is in the listing; what is said by the exit code is said by somebody else.
        session.testsfailed = 0
        return True

    def settle_down(self, manager):
        """Does once what each fork would have to do, and so write to memory that it shares with the host. Gives what prints."""
        # It would be a file whose position all forks share.
        capture = manager.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()
        manager.unregister(self)
        manager.register(self.runner, "orchestrate-runner")
        # Nobody reads what a fork prints.
        return manager.unregister(name="terminalreporter")

    def work(self, channel, order):
        # What follows is done while others are forked.
        channel.write(event="ready", pid=os.getpid(), guard=os.getppid(), left=order["last"])
        channel.flush()
        return Worker(self, channel, order).serve()


def why_cold(manager, own):
    """Why forks of this process would not be what a process of their own is."""
    threads = threading.active_count()
    try:
        threads = max(threads, len(os.listdir("/proc/self/task")))
    except OSError:
        pass
    if threads > 1:
        names = ", ".join(sorted(thread.name for thread in threading.enumerate()))
        return "%d threads run after its tests were collected (%s)" % (threads, names)
    for loop in manager.hook.pytest_runtestloop.get_hookimpls():
        wraps = getattr(loop, "hookwrapper", False) or getattr(loop, "wrapper", False)
        if not wraps and loop.plugin is not own and loop.plugin_name != "main":
            return "the plugin %s has a loop of its own over the tests" % loop.plugin_name
    return None


def package(module):
    return (module or "").split(".")[0]


class Ending:
    """Notices what others want to do when the session ends."""

    # Hooks that are called then, and those that may be wrapped around the whole of it.
    HOOKS = ("pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure")
    AROUND = ("pytest_cmdline_main", "pytest_runtestloop")
    # What they do at the end is for their own process. execnet is pytest-xdist's, which does nothing here.
    HARMLESS = ("_pytest", "logging", "rlcompleter", "execnet")

    def __init__(self):
        self.is_empty = True
        self.register = atexit.register

        def register(function, *args, **kwargs):
            self.notice(function)
            return self.register(function, *args, **kwargs)

        atexit.register = register

    def notice(self, function):
        if package(getattr(function, "__module__", None)) not in self.HARMLESS:
            self.is_empty = False

    def pytest_addoption(self, pluginmanager):
        config = pluginmanager.get_plugin("pytestconfig")
        add = config.add_cleanup

        def add_cleanup(function):
            # Some of pytest's own are others' functions.
            if package(sys._getframe(1).f_globals.get("__name__")) != "_pytest":
                self.notice(function)
            add(function)

        config.add_cleanup = add_cleanup

    def over(self, hooks):
        """Whether nobody would miss anything if this process, once it has forked, just ended."""
        atexit.register = self.register
        for name in self.HOOKS + self.AROUND:
            for hook in getattr(hooks, name).get_hookimpls():
                if name in self.HOOKS or getattr(hook, "hookwrapper", False) or getattr(hook, "wrapper", False):
                    self.notice(hook.function)
        # They register once for all of them, which may have been before.
        return self.is_empty and not getattr(weakref.finalize, "_registry", None)


class Worker:
    """A fork: runs the tests that it is sent through pytest's own protocol."""

    def __init__(self, host, channel, order):
        self.host = host
        self.session = host.session
        self.config = host.session.config
        self.channel = channel
        self.runner = host.runner
        self.runner.report = channel
        # What was run last, while something that is not the test's alone may still be set up.
        self.last = None
        self.cpu = 0.0
        self.prepare(order)

    def prepare(self, order):
        """Whatever must not be shared with the host: files and folders."""
        import tempfile
        from pathlib import Path

        tempfile.tempdir = None
        capture = self.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.start_global_capturing()
            capture.suspend_global_capture(in_=False)
        factory = getattr(self.config, "_tmp_path_factory", None)
        if factory is not None and order.get("tmp"):
            factory._basetemp = Path(order["tmp"]) / "pytest"
            factory._basetemp.mkdir(mode=0o700, exist_ok=True)
        orchestrate_coverage.is_forked(self.config)
        self.adopt_faulthandler()

    def adopt_faulthandler(self):
        """A crash's traceback goes to this process's output, not to the host's."""
        import faulthandler
        import fcntl

        # While a test runs, 2 is what captures its output.
        output = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 200)
        try:
            from _pytest.faulthandler import fault_handler_stderr_fd_key as key

            os.dup2(output, self.config.stash[key], inheritable=False)
        except (ImportError, AttributeError, KeyError, OSError):
            pass
        # It is asked to end where a test takes too long: then it says what it was at.
        faulthandler.register(signal.SIGTERM, file=output, all_threads=True, chain=True)

    def serve(self):
        while True:
            request = self.channel.read()
            if request is None or "run" not in request:
                break
            self.chunk(request["run"])
        self.tear_down(None)
        self.channel.write(event="over")
        self.channel.flush()
        orchestrate_coverage.save(self.config)
        return 0

    def chunk(self, order):
        os.environ.update(order.get("env", {}))
        items = self.host.items
        chosen = [name for name in order["ids"] if name in items]
        if chosen:
            # Between the tests of a chunk pytest does so itself.
            self.tear_down(items[chosen[0]])
        for place, name in enumerate(chosen):
            item = items[name]
            if place + 1 < len(chosen):
                following = items[chosen[place + 1]]
            else:
                following = None if order.get("last") else self.neighbour(name)
            self.runner.begin(name)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if os.getpid() != self.channel.pid:
                # A test has forked and come back twice: this one has nothing to say.
                os._exit(0)
            self.last = (name, item)
        if not self.session._setupstate.stack:
            self.last = None
        pending = self.last is not None and self.is_pending()
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        self.channel.write(
            event="done",
            pending=self.last[0] if pending else None,
            cpu=cpu - self.cpu,
            # In KiB, but on macOS in bytes: getrusage(2).
            memory=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        )
        self.cpu = cpu
        self.channel.flush()

    def neighbour(self, name):
        """The test that has most in common with one: what both need is kept for whatever comes next."""
        place = self.host.places[name]
        everyone = self.host.lister.tests
        chain = self.host.items[name].listchain()
        best, common = None, 0
        for _, _, other in everyone[max(place - 1, 0) : place] + everyone[place + 1 : place + 2]:
            both = sum(a is b for a, b in zip(chain, other.listchain()))
            if both > common:
                best, common = other, both
        return best

    def is_pending(self):
        """Whether something is set up that is not the last test's alone and will have to be torn down."""
        stack = self.session._setupstate.stack
        try:
            return any(len(entry[0]) > 1 for entry in stack.values())
        except (AttributeError, TypeError, IndexError):
            return True

    def tear_down(self, following):
        """Tears down what the next test does not need; an error is the last one's."""
        if self.last is None:
            return
        from _pytest.runner import CallInfo

        name, item = self.last
        self.last = None
        state = self.session._setupstate
        call = CallInfo.from_call(lambda: state.teardown_exact(following), when="teardown")
        if call.excinfo is None:
            return
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        self.runner.current = name
        self.runner.reports = [report]
        self.runner.finish()


class OneProcess:
    """`-n` in a project's addopts would start pytest-xdist's own workers inside each of ours, and a report of one process would
    be one of a part of the tests."""

    def pytest_cmdline_main(self, config):
        config.option.xmlpath = None
        if hasattr(config.option, "numprocesses"):
            config.option.numprocesses = 0
            config.option.dist = "no"
            config.option.tx = []
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        if worker is None:
            return
        orchestrate_coverage.is_no_worker(config)
        # As in a worker of pytest-xdist, for projects that look for it.
        config.workerinput = {
            "workerid": worker,
            "workercount": int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
            "testrunuid": os.environ.get("PYTEST_XDIST_TESTRUNUID", ""),
            "mainargv": sys.argv,
        }
        if not config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(xdist_fixtures(), "orchestrate-xdist")


def xdist_fixtures():
    """The fixtures of pytest-xdist, where it is not installed."""
    import pytest

    class Fixtures:
        @pytest.fixture(scope="session")
        def worker_id(self):
            """The worker's name: `gw0` and so on."""
            return os.environ["PYTEST_XDIST_WORKER"]

        @pytest.fixture(scope="session")
        def testrun_uid(self):
            """The run's id."""
            return os.environ.get("PYTEST_XDIST_TESTRUNUID", "")

    return Fixtures()


def main():
    mode, *arguments = sys.argv[1:]
    if mode == "session":
        gc.set_threshold(*LOADING)
        import orchestrate_session
    # As under the `pytest` command: neither this file's folder nor the current one is searched for modules.
    del sys.path[0]
    if mode == "session":
        host = orchestrate_session.Host()
    elif mode != "finish":
        report = Report(arguments.pop(0))
    try:
        import pytest
    except ImportError:
        sys.exit("%s has no pytest: install it there, or name another with `with = { python = \"…\" }`" % sys.executable)
    OneProcess.pytest_cmdline_main = pytest.hookimpl(tryfirst=True)(OneProcess.pytest_cmdline_main)
    Session.pytest_runtestloop = pytest.hookimpl(tryfirst=True)(Session.pytest_runtestloop)
    common = [OneProcess()] + orchestrate_coverage.plugins(mode, pytest)
    # The last word on stopping early is ours: what is not run has no result.
    if mode == "run":
        sys.exit(int(pytest.main(["--maxfail=0"] + arguments, plugins=[Follower(report)] + common)))
    if mode == "finish":
        code = pytest.main(arguments, plugins=common)
        # No test was collected, which is not wrong here.
        sys.exit(0 if code == 5 else int(code))
    lister = Lister()
    whole = ["--continue-on-collection-errors", "--maxfail=0"]
    if mode == "session":
        ending = Ending()
        code = pytest.main(whole + arguments, plugins=[lister, ending, Session(host, lister, ending)] + common)
        orchestrate_session.leave(int(code))
    code = pytest.main(["--collect-only", "-q"] + whole + arguments, plugins=[lister] + common)
    for record in lister.records(True):
        report.write(**record)
    # Tests that can't be collected are in the listing; only what keeps pytest from listing at all is an error.
    sys.exit(0 if code in (0, 1, 2, 5) else int(code))


if __name__ == "__main__":
    main()
