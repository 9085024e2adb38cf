"""Why the tests of a group must run in one process: settings and plugins that span the whole session.

Most settings hold in each process as they do in one. Those here do not, and none of them may be ignored silently.
"""

from .plugins import AT_THE_END, called, knows_xdist, sends_output, top, wraps

# Options that span the session: their name in pytest, how they are written, and what they do.
OPTIONS = (
    ("lf", "--last-failed", "it selects tests by the results that pytest's last run left"),
    ("failedfirst", "--failed-first", "it sets the order of the tests"),
    ("newfirst", "--new-first", "it sets the order of the tests"),
    ("stepwise", "--stepwise", "it stops the session at a failure and continues there the next time"),
    ("basetemp", "--basetemp", "all tests have their temporary folders in one"),
    ("log_file", "--log-file", "all tests write to one file"),
    ("fail_on_flaky", "--fail-on-flaky", "it judges the whole session"),
    ("session_timeout", "--session-timeout", "it limits the time of the whole session"),
)
# The same for keys of configuration files.
KEYS = (
    ("log_file", "all tests write to one file"),
    ("session_timeout", "it limits the time of the whole session"),
)
# Plugins about which `of_known_plugins` decides.
KNOWN = ("pytest_benchmark", "syrupy", "inline_snapshot")


def why_one_process(plugins, asked, is_shared, own_loop):
    """The reason, or None. `asked` are the project's options; `is_shared` says that one host serves all workers of the group."""
    return (
        of_options(plugins.config, asked)
        or of_known_plugins(plugins, asked, is_shared)
        or of_hooks(plugins, own_loop)
        or (None if is_shared else of_reports(plugins, asked))
    )


def why_unless_all(plugins):
    """The reason where only some of the tests are selected, or None. pytest itself would know which of them."""
    if plugins.is_active("syrupy"):
        return "syrupy would take the snapshots of tests that were not selected for unused ones"
    for hook in plugins.hooks("pytest_sessionfinish"):
        if sends_output(hook):
            return "%s may judge tests that were not selected" % called(hook)
    return None


def of_options(config, asked):
    if asked.maxfail:
        return "`--maxfail=%d` stops the whole session" % asked.maxfail
    for name, written, why in OPTIONS:
        if getattr(config.option, name, None):
            return "`%s`: %s" % (written, why)
    for name, why in KEYS:
        try:
            value = config.getini(name)
        except (KeyError, ValueError):
            continue
        if value not in (None, "", 0, "0"):
            return "`%s`: %s" % (name, why)
    return None


def of_known_plugins(plugins, asked, is_shared):
    """Plugins that need one process only where a project uses them in some way."""
    option = plugins.config.option
    if asked.xmlpath and plugins.has_fixture("record_testsuite_property", "record_xml_attribute"):
        return "tests write to the file of `--junit-xml`"
    if plugins.is_active("pytest_benchmark"):
        return "pytest-benchmark compares and saves the benchmarks of a whole session"
    if plugins.is_active("syrupy"):
        if getattr(option, "update_snapshots", False) or getattr(option, "update_new_snapshots_only", False):
            return "syrupy writes its snapshots at the end of the session"
        gathers = any(top(hook.function) == "syrupy" for hook in plugins.hooks("pytest_testnodedown"))
        if not (is_shared and gathers):
            return "syrupy looks for unused snapshots at the end of the session"
    if plugins.is_active("inline_snapshot"):
        return "inline-snapshot changes the tests at the end of the session"
    if plugins.is_active("pytest_order") and plugins.has_mark("order"):
        return "pytest-order sets the order of the tests"
    if plugins.is_active("pytest_ordering") and plugins.has_mark("run"):
        return "pytest-ordering sets the order of the tests"
    if plugins.is_active("pytest_dependency") and depends_on_other_modules(plugins.session.items):
        return "pytest-dependency: tests depend on tests of other modules"
    if getattr(option, "cucumber_json_path", None):
        return "pytest-bdd keeps what `--cucumberjson` writes in the process that ran the test"
    if getattr(option, "clean_alluredir", False) and getattr(option, "allure_report_dir", None) and not is_shared:
        return "`--clean-alluredir` would remove the results of other processes"
    return None


def depends_on_other_modules(items):
    marks = (mark for item in items for mark in item.iter_markers("dependency"))
    return any(mark.kwargs.get("scope", "module") in ("package", "session") for mark in marks)


def of_hooks(plugins, own_loop):
    """Hooks of plugins that do not know of several processes."""
    for name in ("pytest_runtestloop", "pytest_runtest_protocol", "pytest_sessionfinish"):
        for hook in plugins.hooks(name):
            if hook.plugin is own_loop or top(hook.function) in KNOWN:
                continue
            if name == "pytest_runtestloop" and not wraps(hook):
                return "%s has its own loop over the tests" % called(hook)
            if name == "pytest_runtest_protocol" and wraps(hook):
                continue
            if not knows_xdist(hook):
                return "the hook `%s` of %s may need the whole session" % (name, called(hook))
    return None


def of_reports(plugins, asked):
    """Plugins that want all reports in one process, where no process has them all."""
    if asked.xmlpath:
        return "`--junit-xml` writes one file of all tests"
    for name in AT_THE_END:
        for hook in plugins.hooks(name):
            if top(hook.function) not in KNOWN:
                return "%s reports on all tests" % called(hook)
    return None
