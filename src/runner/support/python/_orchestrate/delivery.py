"""Brings the reports of all forks to the session of their host, as pytest-xdist brings those of workers to its controller.

A fork writes what it reports to a file, test by test, and the host reads the files once all tests have run. So plugins that
report at the end of the session have every report, in the order in which the tests were collected, and a test that ends its
process loses none that came before it.
"""

import marshal
import os
import struct
import sys
import tempfile
import warnings

from .plugins import APART, AT_THE_END, OF_REPORTS, calling, implementations, is_of_controller, knows_xdist, sends_output, top
from .real import real

LENGTH = struct.Struct("<Q")


def is_needed(plugins, asked):
    """Whether a plugin wants the reports of all tests in one process."""
    if asked.xmlpath or plugins.hooks("pytest_testnodedown"):
        return True
    if any(plugins.hooks(name) for name in AT_THE_END):
        return True
    return any(knows_xdist(hook) for hook in plugins.hooks("pytest_runtest_logreport"))


def plain(value):
    """The value, made of types that the file can hold; anything else becomes its text."""
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return value
    if isinstance(value, dict):
        return {plain(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    for base in (int, float, str, bytes):
        if isinstance(value, base):
            # A class of its own, such as an enum.
            return base.__str__(value) if base is str else base(value)
    return str(value)


class Delivery:
    """A plugin of the host and of its forks: forks write reports, the host reads them."""

    def __init__(self, plugins, nodes):
        self.plugins = plugins
        self.session = plugins.session
        self.config = plugins.config
        self.nodes = nodes
        self.callers = {}
        self.folder = tempfile.mkdtemp(prefix="reports-")
        # In a fork: who it is, and where it writes.
        self.node = None
        self.pid = None
        self.file = None
        self.waiting = []

    # In a fork.

    def begin(self, node):
        """This process is the fork `node`."""
        self.node = node
        self.pid = real.getpid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self.file = high(os.open(os.path.join(self.folder, str(node.number)), flags, 0o600))
        # What these plugins do with a report, they do in the host.
        for name in OF_REPORTS:
            counted = self.plugins.hooks(name)
            for hook in list(implementations(self.config, name)):
                is_junit = type(hook.plugin).__name__ == "LogXML" and top(hook.function) == "_pytest"
                if is_junit or (hook in counted and is_of_controller(hook)):
                    getattr(self.config.hook, name)._remove_plugin(hook.plugin)

    def write(self, *record):
        try:
            data = marshal.dumps(record)
        except ValueError:
            data = marshal.dumps(plain(record))
        self.waiting += (LENGTH.pack(len(data)), data)

    def flush(self):
        data, self.waiting = b"".join(self.waiting), []
        # A test may fork and come back twice; only the process that was started reports.
        while data and real.getpid() == self.pid:
            data = data[real.write(self.file, data) :]

    def pytest_runtest_logstart(self, nodeid, location):
        if self.file is not None:
            self.write("start", nodeid, real.clock(), tuple(location))
            self.flush()

    def pytest_runtest_logreport(self, report):
        if self.file is not None:
            data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
            self.write("report", report.nodeid, real.clock(), data)

    def pytest_runtest_logfinish(self, nodeid, location):
        if self.file is not None:
            self.write("finish", nodeid, real.clock(), tuple(location))
            self.flush()

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        if self.file is not None:
            self.write("warning", nodeid, real.clock(), (in_parts(warning_message), when, location))

    def end(self):
        """The fork is about to end: plugins hand over what they have found out."""
        hooks = implementations(self.config, "pytest_sessionfinish")
        senders = [hook.plugin for hook in hooks if top(hook.function) not in APART and sends_output(hook)]
        status = int(bool(self.session.testsfailed))
        self.config.workeroutput = output = {"exitstatus": status}
        if senders:
            others = [hook.plugin for hook in hooks if hook.plugin not in senders]
            finish = calling(self.config, "pytest_sessionfinish", others)
            known = os.environ.get("PYTEST_XDIST_WORKER")
            os.environ["PYTEST_XDIST_WORKER"] = self.node.gateway.id
            try:
                finish(session=self.session, exitstatus=status)
            finally:
                if known is None:
                    del os.environ["PYTEST_XDIST_WORKER"]
        self.write("output", "", real.clock(), output)
        self.flush()

    # In the host, after all forks.

    def deliver(self):
        """Has every plugin hear of every test, and of the end of every fork."""
        self.callers = {name: calling(self.config, name, self.deaf(name)) for name in OF_REPORTS}
        tests, outputs = {}, {}
        for node in self.nodes.all:
            for kind, nodeid, at, data in self.read(node):
                if kind == "output":
                    outputs[node] = data
                elif kind == "start" or nodeid not in tests:
                    test = Test(node, nodeid, at, data if kind == "start" else None)
                    # One that is run again counts as it was the last time.
                    if nodeid not in tests or tests[nodeid].at <= at:
                        tests[nodeid] = test
                if kind == "report" and tests[nodeid].node is node:
                    tests[nodeid].reports.append(data)
                if kind == "warning" and tests[nodeid].node is node:
                    tests[nodeid].warnings.append(data)
                if kind == "finish" and tests[nodeid].node is node:
                    tests[nodeid].is_over = True
        order = {item.nodeid: place for place, item in enumerate(self.session.items)}
        ran = sorted(tests.values(), key=lambda test: (order.get(test.nodeid, len(order)), test.at))
        for test in ran:
            self.deliver_one(test)
        for node in self.nodes.all:
            error = None if node in outputs else "the process ended early"
            if error is None:
                node.workeroutput = node.slaveoutput = outputs[node]
            self.nodes.call("pytest_testnodedown", node=node, error=error)

    def deliver_one(self, test):
        location = test.location or (test.nodeid.split("::")[0], None, test.nodeid)
        self.callers["pytest_runtest_logstart"](nodeid=test.nodeid, location=location)
        for data in test.reports:
            # Without the attribute `node`, which would put the worker's name into each failure.
            report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
            self.callers["pytest_runtest_logreport"](report=report)
        if not test.is_over:
            self.callers["pytest_runtest_logreport"](report=self.crash(test))
        self.callers["pytest_runtest_logfinish"](nodeid=test.nodeid, location=location)
        for parts, when, place in test.warnings:
            facts = {"warning_message": made_of(parts), "when": when, "nodeid": test.nodeid, "location": place}
            self.config.hook.pytest_warning_recorded.call_historic(kwargs=facts)

    def crash(self, test):
        """The report of a test whose process ended, as pytest-xdist has it."""
        from _pytest.reports import TestReport

        text = "worker %r crashed while running %r" % (test.node.gateway.id, test.nodeid)
        location = test.location or (test.nodeid.split("::")[0], None, test.nodeid)
        return TestReport(test.nodeid, location, {}, "failed", text, "???")

    def deaf(self, name):
        """The plugins that have heard of a test where it ran, and need not hear of it here."""
        ends = [hook.plugin for end in AT_THE_END for hook in self.plugins.hooks(end)]
        left_out = [self]
        for hook in implementations(self.config, name):
            package = top(hook.function)
            if package != "_pytest" and (package in self.plugins.quiet or not (hook.plugin in ends or knows_xdist(hook))):
                left_out.append(hook.plugin)
        return left_out

    def read(self, node):
        try:
            with open(os.path.join(self.folder, str(node.number)), "rb") as file:
                data = file.read()
        except OSError:
            return
        at = 0
        while at + LENGTH.size <= len(data):
            (length,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size
            if at + length > len(data):
                return
            yield marshal.loads(data[at : at + length])
            at += length


class Test:
    """What the forks have said of one test."""

    def __init__(self, node, nodeid, at, location):
        self.node = node
        self.nodeid = nodeid
        self.at = at
        self.location = location
        self.reports = []
        self.warnings = []
        self.is_over = False


def in_parts(warning):
    """A warning as values that a file can hold."""
    message, category = warning.message, warning.category
    of = [(kind.__module__, kind.__qualname__) if isinstance(kind, type) else None for kind in (type(message), category)]
    args = [plain(arg) for arg in getattr(message, "args", ())]
    return (str(message), of, args, warning.filename, warning.lineno)


def made_of(parts):
    """The warning again, or one with its text where its class cannot be had here."""
    text, (of_message, of_category), args, filename, line = parts
    try:
        message = class_of(of_message)(*args)
    except Exception:
        message = text
    try:
        category = class_of(of_category)
    except Exception:
        category = UserWarning
    return warnings.WarningMessage(message, category, filename, line)


def class_of(names):
    found = sys.modules[names[0]]
    for name in names[1].split("."):
        found = getattr(found, name)
    return found


def high(number):
    """The descriptor under a number that programs do not close or replace without asking."""
    import fcntl

    try:
        above = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 200)
    except OSError:
        return number
    os.close(number)
    return above
