"""What the benches share: running a command and asking the kernel what it took, and finding `orchestrate`."""

import argparse
import collections
import os
import statistics
import subprocess
import sys
import tempfile
import time
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


def median(values):
    return statistics.median(values)
