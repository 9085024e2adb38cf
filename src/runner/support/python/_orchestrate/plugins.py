"""What the plugins and conftests of a project do with a session of pytest as a whole."""

import os
import sys

# Hooks at the end of a session. In a session of several processes they are called once, in the host.
AT_THE_END = ("pytest_sessionfinish", "pytest_terminal_summary")
# Hooks that hear of each report.
OF_REPORTS = ("pytest_runtest_logstart", "pytest_runtest_logreport", "pytest_runtest_logfinish")
# Words in the source of a plugin that was written for pytest-xdist's workers.
WORDS = ("workerinput", "workeroutput", "pytest_testnodedown", "PYTEST_XDIST_WORKER", "slaveinput")
# pytest itself, and plugins whose work at the end of a session is done in each process, or is only printed. pytest-cov has a
# module of its own here. What else is known of a plugin is in `spanning`.
QUIET = (
    "_pytest",
    "_orchestrate",
    "xdist",
    "pytest_cov",
    "pytest_forked",
    "pytest_asyncio",
    "pytest_httpserver",
    "pytest_metadata",
    "pytest_rerunfailures",
    "pytest_timeout",
    "_hypothesis_pytestplugin",
    "flaky",
)
# Those that other modules here stand for, and those that are told by pytest-xdist who they are before a fork can be told.
APART = ("_pytest", "_orchestrate", "pytest_cov", "pytest_metadata", "pytest_rerunfailures", "flaky")
# Only so many files of a package are read.
MOST_FILES = 300

SOURCES = {}


def top(function):
    """The name of the package or module that a function is from."""
    return (getattr(function, "__module__", None) or "").split(".")[0]


def wraps(hook):
    return bool(getattr(hook, "hookwrapper", False) or getattr(hook, "wrapper", False))


def implementations(config, name):
    caller = getattr(config.hook, name, None)
    return [] if caller is None else caller.get_hookimpls()


def calling(config, name, left_out):
    """A hook without the implementations of some plugins."""
    return config.pluginmanager.subset_hook_caller(name, remove_plugins=left_out)


def end_silently(config):
    """Has no plugin do anything at the end of a session in which no test has run."""
    for name in AT_THE_END:
        # pytest's own runner tears down what was set up.
        others = [hook.plugin for hook in implementations(config, name) if hook.plugin_name != "runner"]
        setattr(config.hook, name, calling(config, name, others))


def called(hook):
    """The name of a hook's plugin in messages."""
    path = file_of(hook.function)
    if path and not is_installed(path):
        return os.path.relpath(path)
    return top(hook.function) or str(hook.plugin_name)


def file_of(function):
    return getattr(getattr(function, "__code__", None), "co_filename", None)


def is_installed(path):
    return "site-packages" in path or "dist-packages" in path


def source(function):
    """The text of the plugin that a function is from: of the whole package, where it is an installed one."""
    path = file_of(function)
    if path is None:
        return ""
    key = top(function) if is_installed(path) else path
    if key not in SOURCES:
        SOURCES[key] = "\n".join(texts(path, top(function)))
    return SOURCES[key]


def texts(path, name):
    paths = [path]
    init = getattr(sys.modules.get(name), "__file__", None) or path
    if is_installed(path) and os.path.basename(init).startswith("__init__."):
        folder = os.path.dirname(init)
        paths = [os.path.join(at, file) for at, _, files in os.walk(folder) for file in files if file.endswith(".py")]
    for each in sorted(paths)[:MOST_FILES]:
        try:
            with open(each, encoding="utf-8", errors="replace") as file:
                yield file.read()
        except OSError:
            pass


def knows_xdist(hook):
    """Whether a plugin was written so that it works with pytest-xdist."""
    text = source(hook.function)
    return any(word in text for word in WORDS)


def sends_output(hook):
    """Whether a plugin hands over what a worker of pytest-xdist found out."""
    return "workeroutput" in source(hook.function)


def is_of_controller(hook):
    """Whether a plugin is active where reports are gathered, and not in the processes that run tests."""
    return knows_xdist(hook) and not sends_output(hook)


class Plugins:
    """The plugins of a session that may depend on all of it."""

    def __init__(self, session):
        self.session = session
        self.config = session.config
        self.quiet = set(QUIET) | set(self.unused())

    def unused(self):
        """Plugins that are installed in many places and used in few of them."""
        option = self.config.option
        if "pytest_benchmark" in sys.modules:
            is_off = getattr(option, "benchmark_disable", False) or getattr(option, "benchmark_skip", False)
            if is_off or not self.has_fixture("benchmark", "benchmark_weave"):
                yield "pytest_benchmark"
        if "syrupy" in sys.modules and not self.has_fixture("snapshot"):
            yield "syrupy"
        if "inline_snapshot" in sys.modules and not uses("inline_snapshot"):
            yield "inline_snapshot"

    def has_fixture(self, *names):
        return any(name in getattr(item, "fixturenames", ()) for item in self.session.items for name in names)

    def has_mark(self, name):
        return any(item.get_closest_marker(name) is not None for item in self.session.items)

    def is_active(self, package):
        return package in sys.modules and package not in self.quiet

    def hooks(self, name):
        """The implementations of a hook that count."""
        return [hook for hook in implementations(self.config, name) if top(hook.function) not in self.quiet]


def uses(package):
    """Whether a module outside of a package has something of it."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in (package, "_pytest", "_orchestrate"):
            continue
        for value in list(getattr(module, "__dict__", {}).values()):
            of = getattr(value, "__name__" if type(value) is type(sys) else "__module__", None)
            if isinstance(of, str) and of.split(".")[0] == package:
                return True
    return False
