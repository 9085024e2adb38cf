"""Whether forks of this process would be what processes of their own are, and whether it may end before they do."""

import atexit
import os
import sys
import threading
import weakref


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
    if has_children():
        # A fork is not their parent: it could not wait for them.
        return "a process that was started while its tests were collected still runs"
    for loop in manager.hook.pytest_runtestloop.get_hookimpls():
        wraps = getattr(loop, "hookwrapper", False) or getattr(loop, "wrapper", False)
        if not wraps and loop.plugin is not own and loop.plugin_name != "main":
            return "the plugin %s has a loop of its own over the tests" % loop.plugin_name
    return None


def has_children():
    """Whether this process has started one that it has not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def package(module):
    return (module or "").split(".")[0]


class Ending:
    """Notices what others want to do when the session ends."""

    # Hooks that are called then, and those that may be wrapped around the whole of it.
    HOOKS = ("pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure")
    AROUND = ("pytest_cmdline_main", "pytest_runtestloop")
    # What they do at the end is for their own process. execnet is pytest-xdist's, which does nothing here.
    HARMLESS = ("_orchestrate", "_pytest", "logging", "rlcompleter", "execnet")

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
