"""The suites that are compared: where each comes from, exactly which, and what runs it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """Where a suite comes from (a word of sources.SOURCES), and what runs it (one of runners.RUNNERS)."""

    source: str
    runner: str
    # None: that of the system, whatever it is.
    version: str | None = None
    # Of the archive. Cargo and apt check what they download against what the registry has signed.
    sha256: str | None = None
    # The package's name, where it is not the suite's.
    package: str | None = None
    # The folder in the sources where the runner is started: the manifest goes there.
    root: str = "."
    # Arguments for cmake.
    cmake: tuple = ()
    # Instead of the pytest that requirements.txt names.
    pytest: str | None = None
    # Whether it is quick to set up and to run: such run whenever a change lands.
    fast: bool = False


SUITES = {
    "sqlparse": Suite(
        "PyPI", "pytest", "0.6.1", "ca722573f848ff2d30e40ea30f53a104b7dea7635ea9285891263eb2c58fb6e7", fast=True
    ),
    "click": Suite("PyPI", "pytest", "8.5.1", "9bbfada76703fd1d784b83eea012e3e8c6a001a876543ef104fa56aaaeb072b4"),
    "attrs": Suite("PyPI", "pytest", "26.1.0", "d03ceb89cb322a8fd706d4fb91940737b6642aa36998fe130a9bc96c985eff32"),
    "jinja2": Suite("PyPI", "pytest", "3.1.6", "0137fb05990d35f1275a587e9aee6d56da821fc83491a0fb838183be43f66d6d"),
    "flask": Suite("PyPI", "pytest", "3.1.3", "0ef0e52b8a9cd932855379197dd8f94047b359ca0a78695144304cb45f87c9eb"),
    # Its tests share a server at one port, so that two processes of them need two networks.
    "httpx": Suite("PyPI", "pytest", "0.28.1", "75e98c5f16b0f35b567856f597f06ff2270a374470a5c2392242528e3e3e42fc"),
    "more_itertools": Suite(
        "PyPI", "pytest", "11.2.1", "cbf08fd0af284dc69718b9b76a8e6203df624d70209ea511e4219d350c856f63"
    ),
    "pluggy": Suite("PyPI", "pytest", "1.7.0", "d1eaa46ebb595891b860ab086b4d09c8588af65ebd4361b8e8f4bb8920b90ba8"),
    "itoa": Suite("crates.io", "cargo", "1.0.19", fast=True),
    "semver": Suite("crates.io", "cargo", "1.0.28"),
    "itertools": Suite("crates.io", "cargo", "0.15.0"),
    "fastify_plugin": Suite(
        "npm",
        "node",
        "6.0.1",
        "6e3616cd2b7c29d8409f2ff0eced9e4c382d591786dfa4a33d9bee1b08b9596b",
        package="fastify-plugin",
        fast=True,
    ),
    "fastify_error": Suite(
        "npm",
        "node",
        "4.3.0",
        "7980a744147a40ec297d746481377cc5b227fb567376e723a3cfd15d04bf6c0a",
        package="@fastify/error",
        fast=True,
    ),
    "jsx_ast_utils": Suite(
        "npm",
        "jest",
        "3.3.5",
        "dc4a211eac0aeb795723c6cd74ba47b554a8d468faf2bc9c0d0d682b3d25fc86",
        package="jsx-ast-utils",
        fast=True,
    ),
    # The package on npm has no tests; Debian's source has them. Four fail under mocha itself, since Node words an error otherwise.
    "express": Suite(
        "Debian source",
        "mocha",
        "4.18.2",
        "a9ace1a92a2b0a7e3fcd7a7612553d6208a464561c15ad38f349fc3ab0d7cda0",
        package="node-express",
    ),
    # Two projects in one configuration, and a coverage threshold that only the whole run meets.
    "jest_projects": Suite("here", "jest", fast=True),
    "zod": Suite("npm", "vitest", "4.6.7", "84efd155bed93270286e793fc951be270b536cbd5b0eeb111f0fa3967201d698"),
    # A part of it, for where all of it takes too long; so is bats_support one of bats_libraries.
    "zod_mini": Suite(
        "npm",
        "vitest",
        "4.6.7",
        "84efd155bed93270286e793fc951be270b536cbd5b0eeb111f0fa3967201d698",
        package="zod",
        fast=True,
    ),
    "try_tiny": Suite(
        "Debian source",
        "prove",
        "0.31",
        "3300d31d8a4075b26d8f46ce864a1d913e0e8467ceeba6655d5d2b2e206c11be",
        package="libtry-tiny-perl",
        fast=True,
    ),
    "path_tiny": Suite(
        "Debian source",
        "prove",
        "0.144",
        "f6ea094ece845c952a02c2789332579354de8d410a707f9b7045bd241206487d",
        package="libpath-tiny-perl",
    ),
    # A package that wraps bats for Python, and brings bats' two libraries with their tests; bats itself is the system's.
    "bats_libraries": Suite(
        "PyPI",
        "bats",
        "0.1.11.post1",
        "fad1cf6acd12fd1685fd17bcb5b52d996b2b5ac267c151239d1969a17dc7a619",
        package="bats-core-pkg",
        root="bats_core_pkg/dist/test_helper",
    ),
    "bats_support": Suite(
        "PyPI",
        "bats",
        "0.1.11.post1",
        "fad1cf6acd12fd1685fd17bcb5b52d996b2b5ac267c151239d1969a17dc7a619",
        package="bats-core-pkg",
        root="bats_core_pkg/dist/test_helper/bats-support",
        fast=True,
    ),
    "shunit2": Suite("Debian", "shunit2", "2.1.8-3", root="usr/share/doc/shunit2/examples", fast=True),
    "cjson": Suite(
        "Debian source",
        "ctest",
        "1.7.15",
        "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2",
        fast=True,
    ),
    # Fixtures, dependencies, locks and a test that runs alone.
    "cmake_fixtures": Suite("here", "ctest", fast=True),
    # pytest, Node and Rust in subfolders.
    "languages": Suite("here", "languages", fast=True),
    "googletest_samples": Suite(
        "Debian",
        "gtest",
        "1.12.1-0.2",
        package="googletest",
        root="usr/src/googletest",
        cmake=("-Dgtest_build_samples=ON", "-DBUILD_GMOCK=OFF"),
        fast=True,
    ),
    "googletest": Suite(
        "Debian",
        "gtest",
        "1.12.1-0.2",
        root="usr/src/googletest",
        cmake=("-Dgtest_build_tests=ON", "-DBUILD_GMOCK=OFF"),
    ),
    "go": Suite("system", "go", fast=True),
}
