"""What projects and plugins that know pytest-xdist look for."""

import os
import sys

import pytest

from . import coverage
from .plugins import APART, calling, implementations, top


class Asked:
    """The options that span a session, as the project has them. `OneProcess` takes them back where a process is one of several."""

    def __init__(self):
        self.maxfail = 0
        self.xmlpath = None
        # pytest-xdist's workers and how it distributes the tests, where the project has it start some.
        self.workers = None
        self.dist = None

    def take(self, option):
        self.maxfail = getattr(option, "maxfail", 0)
        self.xmlpath = getattr(option, "xmlpath", None)
        workers = getattr(option, "numprocesses", None)
        if workers or getattr(option, "tx", None):
            self.workers = workers or 1
            self.dist = getattr(option, "dist", None)


class OneProcess:
    """Makes this process what it is: one of several, or the only one of a group."""

    def __init__(self, asked, is_one, keeps_reports):
        self.asked = asked
        # Whether all tests of the group run in this process.
        self.is_one = is_one
        # Whether this process has the reports of all tests in the end.
        self.keeps_reports = keeps_reports

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config):
        option = config.option
        self.asked.take(option)
        if not self.is_one:
            # The last word on stopping early is ours: a test that is not run has no result.
            option.maxfail = 0
        if not self.keeps_reports:
            option.xmlpath = None
        if hasattr(option, "numprocesses"):
            # It would start workers of its own in this process.
            option.numprocesses = 0
            option.dist = "no"
            option.tx = []
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        if worker is None:
            return
        coverage.is_no_worker(config)
        # As in a worker of pytest-xdist, for projects that look for it.
        node = Node(config, worker, os.environ)
        config.workerinput = Input(node)
        if not config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(xdist_fixtures(), "orchestrate-xdist")

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        """pytest's cache has the results of sessions that ran all tests: this one does not write them."""
        if self.is_one:
            return
        option = config.option
        if not (getattr(option, "lf", False) or getattr(option, "failedfirst", False)):
            config.pluginmanager.unregister(name="lfplugin")
        if not getattr(option, "newfirst", False):
            config.pluginmanager.unregister(name="nfplugin")


class Node:
    """A process that runs tests, as the hooks of pytest-xdist know a worker."""

    class Gateway:
        def __init__(self, name):
            self.id = name
            self.spec = self

    def __init__(self, config, name, env, number=0):
        self.config = config
        self.number = number
        self.gateway = self.Gateway(name)
        self.workerinput = self.slaveinput = {
            "workerid": name,
            "workercount": int(env.get("PYTEST_XDIST_WORKER_COUNT") or env.get("ORCHESTRATE_WORKERS") or 1),
            "testrunuid": env.get("PYTEST_XDIST_TESTRUNUID") or env.get("ORCHESTRATE_RUN_ID", ""),
            "mainargv": sys.argv,
        }
        self.workerinfo = {
            "id": name,
            "version": sys.version,
            "version_info": tuple(sys.version_info),
            "sysplatform": sys.platform,
            "platform": sys.platform,
            "executable": sys.executable,
            "cwd": os.getcwd(),
        }

    def __repr__(self):
        return "<Node %s>" % self.gateway.id


class Input(dict):
    """What a worker is told. Where there is no controller, plugins tell it themselves, once one of them asks."""

    def __init__(self, node):
        super().__init__(node.workerinput)
        self.node = node

    def __missing__(self, name):
        node, self.node = self.node, None
        if node is not None:
            node.workerinput = node.slaveinput = self
            call(node.config, "pytest_configure_node", node=node)
        if name in self:
            return self[name]
        raise KeyError(name)


class Nodes:
    """The forks of a host."""

    def __init__(self, config, asked):
        self.config = config
        self.asked = asked
        self.all = []

    def add(self, order):
        """In the host, before a fork: plugins may tell it something."""
        env = order.get("env", {})
        node = Node(self.config, "gw" + env.get("ORCHESTRATE_SLOT", "0"), env, len(self.all))
        self.all.append(node)
        self.call("pytest_configure_node", node=node)
        return node

    def begin(self, node):
        """In a fork: it is a worker, where it is one of several or the project itself runs its tests by pytest-xdist."""
        if node.workerinput["workercount"] < 2 and not self.asked.workers:
            return
        coverage.is_no_worker(self.config)
        if not hasattr(self.config, "workerinput"):
            self.config.workerinput = node.workerinput
        if self.asked.workers:
            os.environ.setdefault("PYTEST_XDIST_WORKER", node.workerinput["workerid"])
            os.environ.setdefault("PYTEST_XDIST_WORKER_COUNT", str(node.workerinput["workercount"]))
            os.environ.setdefault("PYTEST_XDIST_TESTRUNUID", node.workerinput["testrunuid"])

    def call(self, name, **arguments):
        call(self.config, name, **arguments)


def call(config, name, **arguments):
    """Calls a hook of pytest-xdist, if a plugin has one."""
    hooks = implementations(config, name)
    apart = [hook.plugin for hook in hooks if top(hook.function) in APART]
    if len(hooks) > len(apart):
        calling(config, name, apart)(**arguments)


def xdist_fixtures():
    """The fixtures of pytest-xdist, where it is not installed."""

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
