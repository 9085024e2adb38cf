"""A session: a process that has collected all tests, and its forks, which run them."""

import gc
import os
import resource
import signal
import sys
import traceback

import pytest

from . import coverage, delivery
from .children import Children
from .forks import Ending
from .garbage import looks_again
from .names import id_of_node
from .plugins import end_silently
from .real import real
from .results import Results, finished
from .xdist import Nodes


class Running(Results):
    """The results of the tests that a fork runs."""

    def __init__(self):
        super().__init__(None)
        # The test that was asked for, and its id.
        self.asked = (None, None)
        self.children = None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        asked, name = self.asked
        yield from self.run(name if item is asked else id_of_node(item.nodeid, self.config), item)

    def more(self):
        left = self.children.new()
        return {"left": left} if left else {}


class Session:
    """In the place of pytest's own loop over the tests: serves connections, each in a fork."""

    def __init__(self, host, lister, ending):
        self.host = host
        self.lister = lister
        self.ending = ending
        lister.loop = self
        self.results = Running()
        self.session = None
        self.items = {}
        self.places = {}
        # The forks, and the way that their reports come here, where that is needed.
        self.nodes = None
        self.delivery = None
        # The tests that have failed, once their reports are here.
        self.failed = 0

    def come_first(self, manager):
        """Puts this loop before those of conftests: of several that want to be first, the last that was registered is."""
        manager.unregister(self)
        manager.register(self)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.session = session
        for place, (name, _, item) in enumerate(self.lister.tests):
            self.items[name] = item
            self.places[name] = place
        reporter = self.settle_down(session.config.pluginmanager)
        self.nodes = Nodes(session.config, self.lister.asked)
        if self.lister.is_shared and delivery.is_needed(self.lister.plugins, self.lister.asked):
            self.delivery = delivery.Delivery(self.lister.plugins, self.nodes)
            session.config.pluginmanager.register(self.delivery, "orchestrate-delivery")
        self.host.may_leave(self.ending.over(session.config.hook) and self.delivery is None)
        gc.freeze()
        looks_again()
        self.host.serve(self.lister.records, self.work, self.before_fork)
        if reporter is not None:
            session.config.pluginmanager.register(reporter, "terminalreporter")
        # What could not be collected is in the listing; what is said by the exit code is said by somebody else.
        session.testsfailed = 0
        if not self.nodes.all:
            end_silently(session.config)
        elif self.delivery is not None:
            self.delivery.deliver()
            self.failed = session.testsfailed
        return True

    def code_of(self, code):
        """The exit code of this process, which says what is wrong with the session as a whole: each test has its own result."""
        is_of_tests = code == 1 and self.failed and self.failed == self.session.testsfailed
        return 0 if is_of_tests else code

    def before_fork(self, order):
        order["node"] = self.nodes.add(order)

    def settle_down(self, manager):
        """Does once what each fork would have to do, and so write to memory that it shares with the host. Gives what prints."""
        # It would be a file whose position all forks share.
        capture = manager.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()
        manager.unregister(self)
        manager.register(self.results, "orchestrate-results")
        # Nobody reads what a fork prints.
        return manager.unregister(name="terminalreporter")

    def work(self, channel, order):
        # What follows is done while others are forked.
        channel.write(event="ready", pid=real.getpid(), guard=os.getppid(), left=order["last"])
        channel.flush()
        return Worker(self, channel, order).serve()


class Worker:
    """A fork: runs the tests that it is sent through pytest's own protocol."""

    def __init__(self, host, channel, order):
        self.host = host
        self.session = host.session
        self.config = host.session.config
        self.channel = channel
        self.results = host.results
        self.results.report = channel
        self.results.children = Children()
        # What was run last, while something that is not the test's alone may still be set up.
        self.last = None
        self.cpu = 0.0
        self.prepare(order)

    def prepare(self, order):
        """Whatever must not be shared with the host: files and folders."""
        import tempfile
        from pathlib import Path

        tempfile.tempdir = None
        self.host.lister.opened.seed_again()
        capture = self.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.start_global_capturing()
            capture.suspend_global_capture(in_=False)
        factory = getattr(self.config, "_tmp_path_factory", None)
        if factory is not None and order.get("tmp"):
            factory._basetemp = Path(order["tmp"]) / "pytest"
            factory._basetemp.mkdir(mode=0o700, exist_ok=True)
        coverage.is_forked(self.config)
        self.host.nodes.begin(order["node"])
        if self.host.delivery is not None:
            self.host.delivery.begin(order["node"])
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
        for number in (signal.SIGTERM, signal.SIGINT):
            faulthandler.register(number, file=output, all_threads=True, chain=True)

    def serve(self):
        try:
            while True:
                request = self.channel.read()
                if request is None or "run" not in request:
                    break
                self.chunk(request["run"])
            self.tear_down(None)
        except KeyboardInterrupt:
            # The test took too long, or the run is being stopped: what was started outside must not stay.
            self.abandon()
            return 2
        if self.host.delivery is not None:
            self.host.delivery.end()
        self.channel.write(event="over")
        self.channel.flush()
        coverage.save(self.config)
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
            self.results.asked = (item, name)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if real.getpid() != self.channel.pid:
                # A test has forked and come back twice: this one has nothing to say.
                real.exit(0)
            self.last = (name, item)
            if self.channel.is_closed():
                # The run is being stopped, or the test took too long and went on.
                return
        if not self.session._setupstate.stack:
            self.last = None
        pending = self.last is not None and self.is_pending()
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        self.channel.write(
            event="done",
            results=self.channel.results,
            pending=self.last[0] if pending else None,
            cpu=cpu - self.cpu,
            # In KiB, but on macOS in bytes: getrusage(2).
            memory=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        )
        self.cpu = cpu
        self.channel.results = 0
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

    def abandon(self):
        """Tears down all fixtures; nobody waits for a result any more."""
        try:
            self.session._setupstate.teardown_exact(None)
        except Exception:
            # A fixture that has failed here keeps none of the others from being torn down.
            traceback.print_exc()

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
        if self.host.delivery is not None:
            self.host.delivery.pytest_runtest_logreport(report)
        self.channel.write(**finished(name, [report], None))


def plugins(host, lister):
    """What makes pytest a session."""
    ending = Ending()
    return [ending, Session(host, lister, ending)]
