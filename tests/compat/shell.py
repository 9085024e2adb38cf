"""What all of tests/compat needs: where things are, how commands are run, and how a failure is told.

It knows no suite and no runner.
"""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Sources, virtual environments and builds, reports and logs.
HOME = ROOT / "target/test-env/compat"


class Failure(Exception):
    """Something that keeps a suite from being compared at all."""


def environment(more=()):
    """Ours, without what would make a runner do something else than what a reader of docs/compat.md sees."""
    meddling = {"VIRTUAL_ENV", "PYTHONPATH", "FASTEST_WORKERS", "CARGO_TARGET_DIR", "RUST_TEST_THREADS", "NODE_OPTIONS", "PERL5LIB"}
    families = ("PYTEST_", "BATS_", "SHUNIT_", "GTEST_", "CTEST_", "HARNESS_", "PROVE_", "JEST_", "VITEST_")
    kept = {name: value for name, value in os.environ.items() if name not in meddling and not name.startswith(families)}
    return kept | {"LC_ALL": "C.UTF-8"} | dict(more)


def call(words, folder, log, may_fail=False, env=()):
    """Runs a command; its output goes to a log, and is returned with its exit code."""
    words = [str(word) for word in words]
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise Failure(f"`{' '.join(words)}` can't be run: {error}") from error
    text = done.stdout.decode("utf-8", "replace")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text, "utf-8")
    if done.returncode and not may_fail:
        tail = "\n".join("    " + line for line in text.splitlines()[-20:])
        raise Failure(f"`{' '.join(words)}` ended with {done.returncode}; all of it is in {shown(log)}\n{tail}")
    return done.returncode, text


def emptied(folder):
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def shown(path):
    return os.path.relpath(path)


def orchestrate():
    """A release build of the program, made if there is none."""
    program = ROOT / "target/release/orchestrate"
    if not program.is_file():
        subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", ROOT / "target"], cwd=ROOT, check=True)
    return program
