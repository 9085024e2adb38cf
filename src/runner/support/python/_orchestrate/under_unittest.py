"""The command line of `orchestrate_unittest.py`.

An id is `FILE::CLASS::METHOD`. A file is imported by its name below the nearest folder that is no package, as
`python -m unittest FILE` does it; the root is on the path too.
"""

import importlib
import os
import sys
import unittest

from .main_module import become
from .real import real
from .report import Report


def load(file):
    """The module of a file."""
    folder, parts = os.path.dirname(os.path.abspath(file)), [os.path.splitext(os.path.basename(file))[0]]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        parts.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(".".join(parts))
    found = os.path.realpath(getattr(module, "__file__", "") or "")
    if found != os.path.realpath(file):
        raise ImportError(f"{'.'.join(parts)} is {found}: two files of one name, make their folders packages")
    return module


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def name_of(test):
    # A class may be nested, or be another file's; a method may come from `load_tests` more than once.
    return f"{type(test).__qualname__}::{getattr(test, '_testMethodName', str(test))}"


def line_of(test):
    method = getattr(type(test), getattr(test, "_testMethodName", ""), None)
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    code = getattr(method, "__code__", None)
    return code.co_firstlineno if code else None


def tests_of(file):
    return [(f"{file}::{name_of(test)}", test) for test in flat(unittest.defaultTestLoader.loadTestsFromModule(load(file)))]


def listing(report, options):
    """Writes what `python -m unittest discover` finds."""
    found = discovered(options)
    if not found and not options:
        # Folders that are no packages are not looked into, but often named.
        for start in ("tests", "test"):
            if os.path.isdir(start) and not os.path.exists(os.path.join(start, "__init__.py")):
                found += discovered(["-s", start])
    seen = set()
    for record in found:
        if record["id"] not in seen:
            seen.add(record["id"])
            report.write(**record)
    report.write(event="listed")


def discovered(options):
    """The records of a discovery with these options of unittest's own."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m unittest discover")
    parser.add_argument("-s", "--start-directory", default=".")
    parser.add_argument("-p", "--pattern", default="test*.py")
    parser.add_argument("-t", "--top-level-directory")
    parser.add_argument("-k", action="append", default=[])
    asked = parser.parse_args(options)
    loader = Loader()
    if asked.k:
        loader.testNamePatterns = [name if "*" in name else f"*{name}*" for name in asked.k]
    path = sys.path[:]
    top = asked.top_level_directory or asked.start_directory
    suite = loader.discover(asked.start_directory, asked.pattern, asked.top_level_directory)
    records = [record_of(test, top, loader.modules.get(id(test))) for test in flat(suite)]
    # Another discovery begins as this one did.
    sys.path[:] = path
    return records


class Loader(unittest.TestLoader):
    """Keeps which module each test was found in: its class may be another module's."""

    def __init__(self):
        super().__init__()
        # By identity: tests of one name are equal.
        self.modules = {}

    def loadTestsFromModule(self, module, *args, **options):
        suite = super().loadTestsFromModule(module, *args, **options)
        for test in flat(suite):
            self.modules.setdefault(id(test), module)
        return suite


def record_of(test, top, module):
    kind = type(test)
    if kind.__module__ != "unittest.loader":
        file = os.path.relpath(module.__file__)
        return {"id": f"{file}::{name_of(test)}", "file": file, "line": line_of(test)}
    # A module that could not be imported, or skips itself: the test has its name.
    name = getattr(test, "_testMethodName", "")
    place = os.path.join(top, *name.split("."))
    file = os.path.relpath(place + ".py" if os.path.exists(place + ".py") else os.path.join(place, "__init__.py"))
    error = getattr(test, "_exception", None)
    if error is not None:
        why = str(error).strip()
        return {"id": file, "file": file, "error": why.splitlines()[-1] + "\n" + why}
    return {"id": file, "file": file, "skip": reason_of(test, name)}


def reason_of(test, name):
    """Why a module skips itself."""
    why = getattr(getattr(type(test), name, None), "__unittest_skip_why__", None) or getattr(test, "__unittest_skip_why__", None)
    return str(why or "it skips itself")


class Result(unittest.TestResult):
    """Tells of each test once, when it is over: its subtests and clean-ups have their say before."""

    def __init__(self, report, names):
        super().__init__()
        self.report, self.names = report, names
        self.verdict = None

    def startTest(self, test):
        super().startTest(test)
        self.verdict = ("passed", None, None)
        self.begun = real.clock()
        self.report.write(event="started", id=self.names[id(test)], at=self.begun)

    def stopTest(self, test):
        super().stopTest(test)
        outcome, message, output = self.verdict
        seconds = real.clock() - self.begun
        self.report.write(
            event="finished", id=self.names[id(test)], outcome=outcome, seconds=seconds, message=message, output=output or ""
        )
        self.verdict = None

    def say(self, test, outcome, message, output=None):
        if self.verdict is None:
            self.aside(test, outcome, message, output)
        elif self.verdict[0] in ("passed", "skipped"):
            self.verdict = (outcome, message, output)

    def aside(self, test, outcome, message, output):
        """What a class's or a module's set-up says is said of all of its tests."""
        where = str(test)
        for name, case in self.names["all"]:
            kind = type(case)
            if f"({kind.__module__}.{kind.__qualname__})" in where or f"({kind.__module__})" in where:
                self.report.write(event="finished", id=name, outcome=outcome, message=message, output=output or "")

    def failed(self, test, err, outcome="failed"):
        message = f"{err[0].__name__}: {err[1]}".splitlines()[0]
        self.say(test, outcome, message, self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.failed(test, err)

    def addError(self, test, err):
        self.failed(test, err, "failed" if self.verdict else "errored")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.failed(test, err)

    def addSkip(self, test, reason):
        if type(test).__name__ == "_SubTest":
            # A part that is skipped does not skip its test.
            return
        self.say(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.say(test, "xfailed", f"{err[0].__name__}: {err[1]}".splitlines()[0])

    def addUnexpectedSuccess(self, test):
        # As unittest has it: a run with one is no success.
        self.say(test, "failed", "it passed, though it was expected to fail")


def run(report, ids):
    wanted, names, suite = {}, {"all": []}, unittest.TestSuite()
    for name in ids:
        wanted.setdefault(name.split("::", 1)[0], set()).add(name)
    for file, chosen in wanted.items():
        of_file = unittest.TestSuite()
        for name, test in tests_of(file):
            if name in chosen:
                names[id(test)] = name
                names["all"].append((name, test))
                of_file.addTest(test)
        suite.addTest(of_file)
    suite.run(Result(report, names))
    report.end()


def main(arguments):
    """Does what the first word asks for."""
    task, path, *rest = arguments
    report = Report(path)
    become("unittest", [])
    sys.argv[0] = os.path.basename(sys.executable) + " -m unittest"
    # `python -m` puts the current folder there, unless it is told to leave the path alone.
    if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
        sys.path.insert(0, os.getcwd())
    if task == "list":
        listing(report, rest)
    else:
        run(report, rest)
