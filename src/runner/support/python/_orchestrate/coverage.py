"""Lets pytest-cov measure one of several processes, and make one of what they have left.

Each process has a folder of its own for its data, under the one that `orchestrate` names to it, so that none has to know of the
others, nor of what an earlier run has left. What is wanted of the whole, a report or so much that must be covered, is left to
the command that finishes it: a pytest that runs no test, whose pytest-cov finds all data where it looks for them.
"""

import os

import pytest

# Names the folder; it is empty where one process is the whole.
PARTS = "ORCHESTRATE_PARTS"


def plugins(mode, parts):
    """What a pytest of this mode needs besides. `parts` is the folder; empty where one process is the whole."""
    if mode == "finish":
        return [Measuring(mode, parts), Finish(parts)]
    return [Measuring(mode, parts)]


class Measuring:
    """Tells pytest-cov where the data of this process go, before it begins."""

    def __init__(self, mode, parts):
        self.mode = mode
        self.parts = parts

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config):
        """Around pytest-cov's own, in which it begins."""
        options = early_config.known_args_namespace
        if hasattr(options, "numprocesses"):
            # It would take itself for the controller of pytest-xdist's workers, of which there are none.
            options.numprocesses, options.dist = 0, "no"
        is_measured = getattr(options, "cov_source", None) and not getattr(options, "no_cov", False)
        if is_measured and self.mode == "list":
            # Nothing is run, so the data of the last run stay.
            options.no_cov = True
        part = self.part(options) if is_measured and self.mode in ("run", "session") else None
        before = os.environ.get("COVERAGE_FILE")
        if part is not None:
            os.environ["COVERAGE_FILE"] = part
        yield
        if part is not None or (is_measured and self.mode == "finish"):
            # One of several need not have seen everything, nor anything.
            coverage = coverage_of(early_config)
            coverage._warn_no_data = coverage._warn_unimported_source = False
        # Tests may measure something else; but what measures this process's children by this variable has to find it too.
        if part is not None and "COVERAGE_PROCESS_START" not in os.environ:
            if before is None:
                del os.environ["COVERAGE_FILE"]
            else:
                os.environ["COVERAGE_FILE"] = before

    def part(self, options):
        """Where this process's data go; None if they are all there are."""
        if self.parts is None:
            raise pytest.UsageError(
                "pytest-cov would measure several processes, but their runner has no `finish` that makes one of it: take that "
                "from `orchestrate runners pytest`, or pass --no-cov"
            )
        if not self.parts:
            return None
        import tempfile

        options.cov_report = {"": None}
        options.cov_fail_under = 0
        return os.path.join(tempfile.mkdtemp(dir=self.parts), ".coverage")


class Finish:
    """A pytest without tests."""

    def __init__(self, parts):
        self.parts = parts

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session):
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """Within pytest-cov's own, which then combines what is there, reports and judges."""
        import shutil

        controller = plugin_of(session.config).cov_controller
        whole = os.path.join(controller.topdir, controller.cov.config.data_file)
        for part in sorted(os.listdir(self.parts)):
            folder = os.path.join(self.parts, part)
            for number, name in enumerate(sorted(os.listdir(folder))):
                shutil.move(os.path.join(folder, name), "%s.%s-%d" % (whole, part, number))
        return True


def plugin_of(config):
    """pytest-cov's plugin, where it is active."""
    return config.pluginmanager.getplugin("_cov")


def is_no_worker(config):
    """pytest-cov would take us for a worker of pytest-xdist, and wait for what only its controller sends."""
    plugin = plugin_of(config)
    if plugin is not None:
        plugin._is_worker = lambda session: False


def coverage_of(config):
    """What measures this process, if it is measured."""
    return getattr(getattr(plugin_of(config), "cov_controller", None), "cov", None)


def is_forked(config):
    """pytest-cov measures the host; a fork's part of it is a file of its own, which the host combines with the rest."""
    coverage = coverage_of(config)
    if coverage is None:
        return
    # pytest-cov before 7 would measure once more in a process that it does not know, and lose what was measured already.
    plugin_of(config).pid = os.getpid()
    # pytest-cov 6.2 and 6.3 name the file already in the host. True: the name has the process id in it.
    data = getattr(coverage, "_data", None)
    if getattr(data, "_suffix", None):
        data._suffix = True


def save(config):
    """Saves a fork's part."""
    coverage = coverage_of(config)
    if coverage is not None:
        coverage.stop()
        coverage.save()
