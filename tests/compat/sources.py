"""Makes a suite's folder: gets its sources by an ordinary package client, and sets up what its runner needs.

Nothing of a suite is changed: beside its own files come a manifest, what its tests import, and builds. All of it is exact to
the version, and made anew only when what it is made of has changed.
"""

import dataclasses
import hashlib
import re
import shutil
import sys
import tarfile
from pathlib import Path

import shell
from shell import HERE, Failure, call, emptied, shown

PIP = ("-m", "pip", "--disable-pip-version-check")


def prepare(name, suite):
    """The folder where the suite's runner is started, with all that it needs."""
    own = HERE / "suites" / name
    folder = shell.HOME / f"{name}-{suite.version or 'system'}"
    done = shell.HOME / f"{name}.done"
    files = [file for file in sorted(own.rglob("*")) if file.is_file() and file.name != "fastest.toml"]
    if suite.runner == "pytest":
        files.append(HERE / "requirements.txt")
    made_of = (dataclasses.replace(suite, fast=False), [file.read_text() for file in files])
    wanted = hashlib.sha256(repr(made_of).encode()).hexdigest()
    if not done.is_file() or done.read_text() != wanted or not folder.is_dir():
        done.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        shell.HOME.mkdir(parents=True, exist_ok=True)
        SOURCES[suite.source](name, suite, folder)
        SETUPS.get(suite.runner, lambda *_: None)(name, suite, folder / suite.root)
        done.write_text(wanted)
    root = folder / suite.root
    shutil.copyfile(own / "fastest.toml", root / "fastest.toml")
    # Durations of an earlier run would order this one: the first run has none, the others have its.
    shutil.rmtree(root / ".fastest", ignore_errors=True)
    return root


# -- Sources --------------------------------------------------------------------------------------------------------------


def from_pypi(name, suite, folder):
    package = suite.package or name
    downloads = emptied(shell.HOME / f"{name}.download")
    what = ["--no-deps", "--no-binary", ":all:", "--dest", downloads, f"{package}=={suite.version}"]
    call([sys.executable, *PIP, "download", *what], shell.HOME, shell.HOME / f"{name}.download.log")
    unpack(suite, downloads, "*.tar.gz", folder)


def from_npm(name, suite, folder):
    downloads = emptied(shell.HOME / f"{name}.download")
    call(["npm", "pack", f"{suite.package or name}@{suite.version}"], downloads, shell.HOME / f"{name}.download.log")
    unpack(suite, downloads, "*.tgz", folder)


def from_crates(name, suite, folder):
    """Cargo vendors the package for a package of ours that depends on it: that way no address of a registry is ours."""
    scratch = emptied(shell.HOME / f"{name}.download")
    (scratch / "src").mkdir()
    (scratch / "src/lib.rs").write_text("")
    package = '[package]\nname = "scratch"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n\n'
    (scratch / "Cargo.toml").write_text(f'{package}[dependencies]\n{name} = "={suite.version}"\n')
    call(["cargo", "vendor", "--versioned-dirs"], scratch, shell.HOME / f"{name}.download.log")
    shutil.move(scratch / f"vendor/{name}-{suite.version}", folder)
    # Or cargo looks for a workspace above it.
    with open(folder / "Cargo.toml", "a", encoding="utf-8") as file:
        file.write("\n[workspace]\n")


def from_debian_source(name, suite, folder):
    """The archive of who wrote it, without Debian's patches: whichever of Debian's versions there is, the archive is one."""
    downloads = apt(name, "source", "--download-only", suite.package or name)
    unpack(suite, downloads, "*.orig.tar.*", folder)


def from_debian(name, suite, folder):
    """What a package would install, without installing it."""
    downloads = apt(name, "download", f"{suite.package or name}={suite.version}")
    call(["dpkg-deb", "--extract", only(downloads, "*.deb"), folder], shell.HOME, shell.HOME / f"{name}.unpack.log")


def from_system(_name, _suite, folder):
    """The tests are where they are installed; the folder only says which."""
    folder.mkdir()


def from_here(name, _suite, folder):
    """A small project of ours, for what no published package shows."""
    shutil.copytree(HERE / "suites" / name / "project", folder)


SOURCES = {
    "here": from_here,
    "PyPI": from_pypi,
    "npm": from_npm,
    "crates.io": from_crates,
    "Debian source": from_debian_source,
    "Debian": from_debian,
    "system": from_system,
}


def apt(name, *words):
    """Runs apt-get with lists of its own, so that it needs no root, and those of the system may lack sources and be old."""
    home = emptied(shell.HOME / f"{name}.apt")
    for folder in ("parts", "lists/partial", "cache/archives/partial"):
        (home / folder).mkdir(parents=True)
    etc = Path("/etc/apt")
    for file in [etc / "sources.list", *etc.glob("sources.list.d/*.list"), *etc.glob("sources.list.d/*.sources")]:
        if not file.is_file():
            continue
        text = re.sub("^Types:.*$", "Types: deb deb-src", file.read_text(), flags=re.MULTILINE)
        text = re.sub("^deb (.*)$", r"deb \1\ndeb-src \1", text, flags=re.MULTILINE)
        (home / "parts" / (file.name if file.suffix == ".sources" else f"{file.stem}.list")).write_text(text)
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": home / "parts",
        "Dir::State::Lists": home / "lists",
        "Dir::Cache": home / "cache",
        # It has no right to write below a folder of root's.
        "APT::Sandbox::User": "",
    }
    command = ["apt-get"] + [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    # One list of many that can't be had need not be the one that is wanted.
    call(command + ["update"], shell.HOME, shell.HOME / f"{name}.update.log", may_fail=True)
    downloads = emptied(shell.HOME / f"{name}.download")
    call(command + list(words), downloads, shell.HOME / f"{name}.download.log")
    shutil.rmtree(home)
    return downloads


def only(folder, pattern):
    """The one file of that name that was downloaded."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Failure(f"{shown(folder)} should have one {pattern}, and has {len(found)}")
    return found[0]


def unpack(suite, downloads, pattern, folder):
    archive = only(downloads, pattern)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != suite.sha256:
        raise Failure(f"{shown(archive)} is not the archive that was measured: its SHA-256 is {found}")
    scratch = emptied(downloads / "unpacked")
    with tarfile.open(archive) as tar:
        # Not every Python 3.11 has filters, so they are used where they are.
        tar.extractall(scratch, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    shutil.move(only(scratch, "*"), folder)


# -- What runners need ----------------------------------------------------------------------------------------------------


def with_venv(name, suite, folder):
    python = folder / ".venv/bin/python"
    call([sys.executable, "-m", "venv", folder / ".venv"], shell.HOME, shell.HOME / f"{name}.venv.log")
    call([python, *PIP, "install", ".", *requirements(name, suite)], folder, shell.HOME / f"{name}.install.log")


def requirements(name, suite):
    """What runs every Python suite, and what the tests of this one import besides; one that names its own pytest needs it."""
    own = HERE / "suites" / name / "requirements.txt"
    words = ["--requirement", own] if own.is_file() else []
    if suite.pytest:
        # What pytest itself needs is for this version to say.
        return [f"pytest=={suite.pytest}", *words]
    if own.is_file() and re.search("^pytest==", own.read_text(), re.MULTILINE):
        return words
    return ["--requirement", HERE / "requirements.txt", *words]


def with_modules(name, _suite, folder):
    """What the tests import goes beside the package, since in the package's own package.json it says more than they need."""
    wanted = HERE / "suites" / name / "package.json"
    if not wanted.is_file():
        return
    scratch = emptied(shell.HOME / f"{name}.modules")
    shutil.copy(wanted, scratch)
    words = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    call(words, scratch, shell.HOME / f"{name}.install.log")
    shutil.move(scratch / "node_modules", folder)


def with_languages(name, suite, folder):
    python = folder / "api/.venv/bin/python"
    call([sys.executable, "-m", "venv", folder / "api/.venv"], shell.HOME, shell.HOME / f"{name}.venv.log")
    call([python, *PIP, "install", *requirements(name, suite)], folder, shell.HOME / f"{name}.install.log")
    with_cargo(name, suite, folder / "core")


def with_cargo(name, _suite, folder):
    call(["cargo", "test", "--no-run"], folder, shell.HOME / f"{name}.build.log")


def with_cmake(name, suite, folder):
    call(["cmake", "-S", ".", "-B", "build", *suite.cmake], folder, shell.HOME / f"{name}.configure.log")
    call(["cmake", "--build", "build", "--parallel"], folder, shell.HOME / f"{name}.build.log")


def with_shunit2(_name, _suite, folder):
    """The examples look for it in the folder above theirs, where it is before it is packaged."""
    shutil.copy(folder / "../../../shunit2/shunit2", folder / "../shunit2")


def with_go(_name, _suite, folder):
    (folder / "go.mod").write_text("module scratch\n")


SETUPS = {
    "pytest": with_venv,
    "cargo": with_cargo,
    "node": with_modules,
    "jest": with_modules,
    "vitest": with_modules,
    "mocha": with_modules,
    "languages": with_languages,
    "ctest": with_cmake,
    "gtest": with_cmake,
    "shunit2": with_shunit2,
    "go": with_go,
}
