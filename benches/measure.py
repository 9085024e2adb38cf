"""What the benches share: running a command and asking the kernel what it took, and finding `orchestrate`."""

import argparse
import collections
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target/test-env/bench"

# Seconds of wall time, seconds of processor time.
Spent = collections.namedtuple("Spent", "wall cpu")


def arguments(description, rounds):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--orchestrate", type=Path, metavar="PATH", help="the program; default: a release build")
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"how often; default: {rounds}")
    return parser


def program(chosen):
    """The program to measure, built if it is not there."""
    path = chosen or ROOT / "target/release/orchestrate"
    if not chosen and not path.is_file():
        subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", ROOT / "target"], cwd=ROOT, check=True)
    return str(path.resolve())


def environment():
    """Ours, without what would change how many jobs run."""
    return {name: value for name, value in os.environ.items() if name not in ("FASTEST_WORKERS", "PYTEST_ADDOPTS")}


def start(words, folder, output):
    words = [str(word) for word in words]
    return subprocess.Popen(
        words, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )


def run(words, folder):
    """Runs a command to its end. It must succeed: what broke off early would look fast."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = start(words, folder, output)
        # wait4(2) counts the process and all that it and its children waited for: the whole tree, for a clean runner.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            text = output.read().decode("utf-8", "replace")[-2000:]
            sys.exit(f"{' '.join(map(str, words))} ended with {process.returncode}:\n{text}")
    return Spent(wall, usage.ru_utime + usage.ru_stime)


def alternate(rounds, commands):
    """Runs all commands in turn, that many times; {name: [Spent]}. What disturbs the machine for a while then disturbs all.

    `commands` is {name: (words, folder)}.
    """
    spent = {name: [] for name in commands}
    for number in range(rounds):
        # There and back again, so that none always follows the same other.
        names = list(commands) if number % 2 == 0 else list(reversed(commands))
        for name in names:
            spent[name].append(run(*commands[name]))
    return spent


def tree(pid):
    """A process and all below it."""
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        try:
            for task in os.scandir(f"/proc/{found[-1]}/task"):
                left += map(int, Path(task.path, "children").read_text().split())
        except OSError:
            pass  # It has ended meanwhile.
    return found


def memory(words, folder):
    """The most memory that the whole tree had at once, in MiB, or None where the kernel does not say.

    In a run of its own, because looking costs time. The share of each process (proc(5), Pss) and not its maximum: what
    processes have in common is there once. (`ru_maxrss` would be that of the largest process alone, and never less than
    ours, which the child was until it began: getrusage(2).)
    """
    most = 0
    process = start(words, folder, subprocess.DEVNULL)
    while process.poll() is None:
        total = 0
        for pid in tree(process.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        most = max(most, total)
        time.sleep(0.002)
    return most / 1024 or None


def typical_memory(words, folder):
    """The same of the middle one of three runs: processes are looked at one after the other, and the share of one that ends
    meanwhile is counted with those that it had it in common with once more."""
    found = [memory(words, folder) for _ in range(3)]
    return median(found) if all(found) else None


def fresh(name):
    """An empty folder."""
    folder = HOME / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def python_with_xdist():
    """A Python that has pytest and pytest-xdist, or None. Made once."""
    home = HOME / "venv"
    python = home / "bin/python"
    try:
        if subprocess.run([python, "-c", "import xdist"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    except OSError:
        pass  # There is no such Python yet.
    venv.create(home, clear=True, with_pip=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run(pip + ["pytest==9.2.0", "pytest-xdist==3.8.0"])
    return python if done.returncode == 0 else None


def pytest_suite(name, python, modules):
    """A folder with a pytest suite, one module for each list: what each of its tests sleeps, in seconds, or None."""
    folder = fresh(name)
    # Ends pytest's search for a configuration: it must not find one above.
    (folder / "pytest.ini").write_text("[pytest]\n")
    fixture = "@pytest.fixture(scope='session')\ndef numbers():\n    return {n: str(n) for n in range(1000)}\n"
    (folder / "conftest.py").write_text(f"import collections, decimal, json, re\n\nimport pytest\n\n\n{fixture}")
    (folder / "fastest.toml").write_text(f'[groups.tests]\nrunner = "pytest"\nwith = {{ python = "{python}" }}\n')
    number = 0
    for module, tests in enumerate(modules):
        text = "import time\n"
        for seconds in tests:
            body = "pass" if seconds is None else f"time.sleep({seconds:.5f})"
            text += f"\n\ndef test_{number}(numbers):\n    {body}\n    x = {number}\n    assert x in numbers\n"
            number += 1
        (folder / f"test_{module:02}.py").write_text(text)
    return folder


def median(values):
    return statistics.median(values)
