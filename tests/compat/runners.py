"""Runs a suite with its own runner, and says what that told: how many tests of each kind, and which.

What a runner says is taken from what it prints for people, or from a report of its own: its last words for the counts, its
list of tests for the names. Equal counts alone would not notice a test that ran twice while another was lost.

A function of RUNNERS gets the suite's name, its folder and the group in its manifest, since what that sets for orchestrate is set
for the runner too. NAMES says for an id of orchestrate's how the runner itself calls that test.
"""

import collections
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import shell
from shell import Failure, call, shown

KINDS = ("passed", "failed", "skipped", "xfailed", "xpassed")


class Result:
    """Counts by kind, names by how often they have a result, and the exit code."""

    def __init__(self, counts, names, exit):
        self.counts = tuple(counts.get(kind, 0) for kind in KINDS)
        self.names = names
        self.exit = exit

    def differences(self, other):
        """What is not the same in `other`, in words."""
        for kind, here, there in zip(KINDS, self.counts, other.counts):
            if here != there:
                yield f"{kind}: {here} and {there}"
        if (self.exit == 0) != (other.exit == 0):
            yield f"exit code: {self.exit} and {other.exit}"
        for what, names in (("lost", self.names - other.names), ("added", other.names - self.names)):
            if names:
                some = ", ".join(f"{name} ({kind})" for name, kind in list(names)[:5])
                yield f"{what}: {sum(names.values())} results, such as {some}"


def log(name):
    return shell.HOME / f"{name}.plain.log"


def no_counts(runner, name):
    return Failure(f"{runner} gave no counts: see {shown(log(name))}")


def summed(names):
    """Counts of a runner that has no other than its list."""
    counts = collections.Counter()
    for (_, kind), number in names.items():
        counts[kind] += number
    return counts


def files(folder, group):
    """The group's files, in order."""
    found = {file for pattern in group["files"] for file in folder.glob(pattern)}
    return sorted(found - {file for pattern in group.get("exclude", []) for file in folder.glob(pattern)})


def environment(folder, group):
    return {name: value.replace("<root>", str(folder)) for name, value in group.get("env", {}).items()}


# -- Python, Rust ---------------------------------------------------------------------------------------------------------


def pytest(name, folder, group):
    report = shell.HOME / f"{name}.xml"
    words = [".venv/bin/python", "-m", "pytest", "--color=no", f"--junit-xml={report}", "-o", "junit_family=xunit2"]
    code, text = call(words, folder, log(name), may_fail=True, env=environment(folder, group))
    # `==== 12 passed, 1 skipped, 2 deselected in 0.10s ====`
    last = re.findall(r"^=+ (.*) in [\d.]+s.* =+$", text, re.MULTILINE)
    if not last:
        raise no_counts("pytest", name)
    words = {kind: kind for kind in KINDS} | {"error": "failed", "errors": "failed"}
    counts = collections.Counter()
    for number, word in re.findall(r"(\d+) (\w+)", last[-1]):
        if word in words:
            counts[words[word]] += int(number)
    names = collections.Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        names[f"{case.get('classname')}.{case.get('name')}", pytest_kind(case)] += 1
    return Result(counts, names, code)


def pytest_kind(case):
    for child in case:
        if child.tag in ("failure", "error"):
            return "failed"
        if child.tag == "skipped":
            return "xfailed" if child.get("type") == "pytest.xfail" else "skipped"
    return "passed"


def pytest_name(test, kind):
    """The name that pytest's JUnit file has for an id: `tests/a.py::B::c[1/2]` is `tests.a.B.c[1/2]`. It knows no xpassed."""
    plain, bracket, parameters = test.partition("[")
    path, *rest = plain.split("::")
    name = ".".join([path.removesuffix(".py").replace("/", ".")] + rest) + bracket + parameters
    return name, "passed" if kind == "xpassed" else kind


def cargo(name, folder, _group):
    code, text = call(["cargo", "test", "--no-fail-fast"], folder, log(name), may_fail=True)
    counts, totals = collections.Counter(), 0
    for line in re.finditer(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", text, re.MULTILINE):
        totals += 1
        counts.update(dict(zip(("passed", "failed", "skipped"), map(int, line.groups()))))
    if not totals:
        raise no_counts("cargo", name)
    names = collections.Counter()
    words = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
    for line in re.finditer(r"^test (.+) \.\.\. (ok|FAILED|ignored)\b", text, re.MULTILINE):
        names[libtest_name(line[1]), words[line[2]]] += 1
    return Result(counts, names, code)


def libtest_name(test):
    """A name as every way to ask Rust's harness for it writes it: some add how the test is meant to end."""
    return re.sub(r" - (should panic|compile|compile fail)$", "", test)


def cargo_name(test, kind):
    """In front is the test executable, which cargo's own list does not repeat on each line."""
    return libtest_name(without_file(test, kind)[0]), kind


# -- JavaScript -----------------------------------------------------------------------------------------------------------


def node(name, folder, _group):
    """Node's TAP has what its other reporters leave out: each test by name, those within others too."""
    code, text = call(["node", "--test", "--test-reporter=tap"], folder, log(name), may_fail=True)
    totals = {word: int(number) for word, number in re.findall(r"^# (\w+) (\d+)$", text, re.MULTILINE)}
    if "tests" not in totals:
        raise no_counts("node", name)
    counts = {"passed": totals["pass"], "failed": totals["fail"] + totals["cancelled"]}
    counts["skipped"] = totals["skipped"] + totals["todo"]
    names, path = collections.Counter(), []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if opened := re.match(r"( *)# Subtest: (.*)$", line):
            path[len(opened[1]) // 4 :] = [opened[2]]
        elif point := re.match(r"( *)(not ok|ok) \d+ - .*?(?: # (SKIP|TODO)\b.*)?$", line):
            depth = len(point[1]) // 4
            block = "\n".join(lines[number : number + 4])
            if "type: 'suite'" not in block:
                kind = "skipped" if point[3] else "passed" if point[2] == "ok" else "failed"
                names[" > ".join(path[: depth + 1]), kind] += 1
    return Result(counts, names, code)


def jest(name, folder, _group):
    return of_json(name, folder, ["jest", "--ci", "--json"])


def jest_name(test, kind):
    """A file of a project has the project's name behind it."""
    path, separator, title = test.partition("::")
    return re.sub(r"\[[^]]*\]$", "", path) + separator + title, kind


def vitest(name, folder, group):
    some = [file.relative_to(folder) for file in files(folder, group)] if "files" in group else []
    return of_json(name, folder, ["vitest", "run", "--reporter=default", "--reporter=json", *some])


def of_json(name, folder, words):
    """jest's report, which vitest writes too. A file that can't be run is a failure to both, and no test."""
    report = shell.HOME / f"{name}.json"
    report.unlink(missing_ok=True)
    program, *arguments = words
    code, _ = call([f"node_modules/.bin/{program}", *arguments, f"--outputFile={report}"], folder, log(name), may_fail=True)
    if not report.is_file():
        raise no_counts(program, name)
    told = json.loads(report.read_text("utf-8"))
    counts = {"passed": told["numPassedTests"], "failed": told["numFailedTests"]}
    counts["skipped"] = told["numPendingTests"] + told["numTodoTests"]
    words = {"passed": "passed", "failed": "failed"}
    names = collections.Counter()
    for file in told["testResults"]:
        path = str(file["name"]).removeprefix(f"{folder.resolve()}/")
        for test in file["assertionResults"]:
            title = " > ".join([*test["ancestorTitles"], test["title"]])
            names[f"{path}::{title}", words.get(test["status"], "skipped")] += 1
        if file["status"] == "failed" and not any(test["status"] == "failed" for test in file["assertionResults"]):
            counts["failed"] += 1
            names[path, "failed"] += 1
    return Result(counts, names, code)


def mocha(name, folder, group):
    """Tests of one file that have the same full title are told apart by number, as orchestrate does."""
    report = shell.HOME / f"{name}.json"
    report.unlink(missing_ok=True)
    words = ["node_modules/.bin/mocha", "--reporter", "json", "--reporter-option", f"output={report}"]
    code, _ = call([*words, *group.get("with", {}).get("args", [])], folder, log(name), may_fail=True)
    if not report.is_file():
        raise no_counts("mocha", name)
    told = json.loads(report.read_text("utf-8"))
    stats = told["stats"]
    counts = {"passed": stats["passes"], "failed": stats["failures"], "skipped": stats["pending"]}
    failed = [titles(test) for test in told["failures"]]
    pending = [titles(test) for test in told["pending"]]
    names = collections.Counter()
    for test in map(titles, told["tests"]):
        names[test, "failed" if test in failed else "skipped" if test in pending else "passed"] += 1
    return Result(counts, names, code)


def titles(test):
    return Path(test["file"]).name + "::" + test["fullTitle"]


def mocha_name(test, kind):
    """mocha's full title has spaces where an id has ` > `."""
    path, title = test.split("::", 1)
    return Path(path).name + "::" + title.replace(" > ", " "), kind


def languages(name, folder, _group):
    """Each project with its own runner, in its own folder; node's tests of `web` are its files' `node --test`."""
    results = [RUNNERS[runner](f"{name}.{part}", folder / part, {}) for part, runner in LANGUAGES.items()]
    counts = collections.Counter()
    names = collections.Counter()
    for result in results:
        counts.update(dict(zip(KINDS, result.counts)))
        names.update(result.names)
    return Result(counts, names, max(result.exit for result in results))


LANGUAGES = {"api": "pytest", "web": "node", "core": "cargo"}


def language_name(test, kind):
    """The name by the runner of the id's language."""
    if ".py" in test:
        return pytest_name(test, kind)
    return without_file(test, kind) if ".js" in test else cargo_name(test, kind)


# -- Perl, shell ----------------------------------------------------------------------------------------------------------


def prove(name, folder, group):
    code, text = call(["prove", "-r", *group.get("with", {}).get("args", []), "t"], folder, log(name), may_fail=True)
    total = re.search(r"^Files=(\d+), Tests=\d+", text, re.MULTILINE)
    if not total:
        raise no_counts("prove", name)
    # `t/a.t .. ok`, `t/a.t .. skipped: why`; whatever else is wrong. What a file says comes between, and has no dots.
    names = collections.Counter()
    for file, verdict in re.findall(r"^(t/\S+) \.{2,} ?(.*)$", text, re.MULTILINE):
        kind = "passed" if verdict.startswith("ok") else "skipped" if verdict.startswith("skipped") else "failed"
        names[file, kind] += 1
    if sum(names.values()) != int(total[1]):
        raise Failure(f"prove ran {total[1]} files, and tells of {sum(names.values())}: see {shown(log(name))}")
    return Result(summed(names), names, code)


def bats(name, folder, group):
    words = ["bats", "--tap", *files(folder, group)]
    code, text = call(words, folder, log(name), may_fail=True, env=environment(folder, group))
    plan = re.search(r"^1\.\.(\d+)$", text, re.MULTILINE)
    if not plan:
        raise no_counts("bats", name)
    names = collections.Counter()
    for verdict, title, skip in re.findall(r"^(ok|not ok) \d+ (.*?)( # skip.*)?$", text, re.MULTILINE):
        names[title, "skipped" if skip else "passed" if verdict == "ok" else "failed"] += 1
    if sum(names.values()) != int(plan[1]):
        raise Failure(f"bats planned {plan[1]} tests, and tells of {sum(names.values())}: see {shown(log(name))}")
    return Result(summed(names), names, code)


def shunit2(name, folder, group):
    """There is no runner of many files: each is run, and says itself how it went."""
    names, codes = collections.Counter(), []
    for file in files(folder, group):
        code, text = call([file], folder, log(f"{name}.{file.stem}"), may_fail=True, env={"SHUNIT_COLOR": "none"})
        said = re.search(r"^(OK|FAILED)( \(.*\))?$", text, re.MULTILINE)
        if not said:
            raise no_counts("shunit2", f"{name}.{file.stem}")
        names[str(file.relative_to(folder)), "passed" if said[1] == "OK" else "failed"] += 1
        codes.append(code)
    return Result(summed(names), names, int(any(codes)))


# -- C, C++, Go -----------------------------------------------------------------------------------------------------------


def ctest(name, folder, _group):
    code, text = call(["ctest", "--test-dir", "build"], folder, log(name), may_fail=True)
    total = re.search(r"tests passed, (\d+) tests failed out of (\d+)$", text, re.MULTILINE)
    if not total:
        raise no_counts("ctest", name)
    # ` 3/19 Test  #3: parse_hex4 ......   Passed    0.15 sec`
    names = collections.Counter()
    for title, verdict in re.findall(r"^ *\d+/\d+ +Test +#\d+: (\S+) \.*(?: |\*\*\*)+(.*?) +[\d.]+ sec", text, re.MULTILINE):
        kind = {"Passed": "passed", "Skipped": "skipped", "Not Run (Disabled)": "skipped"}.get(verdict, "failed")
        names[title, kind] += 1
    counts = summed(names)
    if (counts["failed"], sum(counts.values())) != (int(total[1]), int(total[2])):
        raise Failure(f"ctest counts {total[2]} tests, and tells of {sum(counts.values())}: see {shown(log(name))}")
    return Result(counts, names, code)


def gtest(name, folder, group):
    """Each program is run; what it ends with are its counts."""
    counts, names, codes = collections.Counter(), collections.Counter(), []
    for file in files(folder, group):
        program = str(file.relative_to(folder))
        code, text = call([file], folder, log(f"{name}.{file.name}"), may_fail=True)
        codes.append(code)
        if " ran. (" not in text:
            raise no_counts(program, f"{name}.{file.name}")
        for kind, word in (("passed", "PASSED "), ("failed", "FAILED "), ("skipped", "SKIPPED")):
            counts[kind] += sum(map(int, re.findall(rf"^\[  {word} \] (\d+) tests?[.,]", text, re.MULTILINE)))
        disabled = re.findall(r"^  YOU HAVE (\d+) DISABLED TEST", text, re.MULTILINE)
        counts["skipped"] += sum(map(int, disabled))
        words = {"      OK": "passed", " FAILED ": "failed", " SKIPPED": "skipped"}
        for word, title in re.findall(r"^\[ (      OK| FAILED | SKIPPED) \] (\S+?)(?:, where .*)? \(\d+ ms\)$", text, re.MULTILINE):
            names[f"{program}::{title}", words[word]] += 1
        if disabled:
            for title in gtest_names(name, file):
                if any(part.startswith("DISABLED_") for part in re.split("[./]", title)):
                    names[f"{program}::{title}", "skipped"] += 1
    return Result(counts, names, int(any(codes)))


def gtest_names(name, program):
    """What a program lists: a suite's name that ends in a dot, and below it its tests, indented."""
    _, text = call([program, "--gtest_list_tests"], program.parent, log(f"{name}.{program.name}.list"))
    suite = ""
    for line in text.splitlines():
        word = line.split("#")[0].strip()
        if line.startswith("  "):
            yield suite + word
        elif word.endswith("."):
            suite = word


def go(name, folder, group):
    words = ["go", "test", "-v", *group["with"]["packages"]]
    code, text = call(words, folder, log(name), may_fail=True)
    names, of_package, packages = collections.Counter(), [], 0
    words = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
    for line in text.splitlines():
        if test := re.match(r"--- (PASS|FAIL|SKIP): (\S+) \(", line):
            of_package.append((test[2], words[test[1]]))
        elif package := re.match(r"(?:ok  |FAIL)\t(\S+)[\t ]", line):
            packages += 1
            names.update((f"{package[1]}::{test}", kind) for test, kind in of_package)
            of_package = []
    if packages != len(group["with"]["packages"]) or of_package:
        raise Failure(f"go tells of {packages} packages: see {shown(log(name))}")
    return Result(summed(names), names, code)


def without_file(test, kind):
    """What is behind the file or program that an id begins with."""
    return test.split("::", 1)[-1], kind


RUNNERS = {
    "pytest": pytest,
    "cargo": cargo,
    "node": node,
    "jest": jest,
    "vitest": vitest,
    "mocha": mocha,
    "languages": languages,
    "prove": prove,
    "bats": bats,
    "shunit2": shunit2,
    "ctest": ctest,
    "gtest": gtest,
    "go": go,
}
NAMES = {"pytest": pytest_name, "jest": jest_name, "cargo": cargo_name, "node": without_file, "mocha": mocha_name, "languages": language_name, "bats": without_file}
# As a person would type it.
SHOWN = {"cargo": "cargo test", "node": "node --test", "go": "go test", "gtest": "the programs", "languages": "each of the three", "shunit2": "the files"}
