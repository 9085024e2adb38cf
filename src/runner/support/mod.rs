//! Files that runners bring along: embedded in the binary, written out when a runner's command names `<support>`.

use std::fs;
use std::io;
use std::path::Path;

/// Names and texts of files in a folder beside this one.
macro_rules! files {
    ($folder:literal, $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!($folder, $name)))),*]
    };
}

/// The files for Python: scripts, and the package that they load.
const PYTHON: &[(&str, &str)] = files![
    "python/",
    "orchestrate_pytest.py",
    "orchestrate_unittest.py",
    "_orchestrate/__init__.py",
    "_orchestrate/alone.py",
    "_orchestrate/children.py",
    "_orchestrate/cold.py",
    "_orchestrate/coverage.py",
    "_orchestrate/delivery.py",
    "_orchestrate/forks.py",
    "_orchestrate/garbage.py",
    "_orchestrate/host.py",
    "_orchestrate/listing.py",
    "_orchestrate/main_module.py",
    "_orchestrate/names.py",
    "_orchestrate/narrowing.py",
    "_orchestrate/plugins.py",
    "_orchestrate/opened.py",
    "_orchestrate/real.py",
    "_orchestrate/report.py",
    "_orchestrate/results.py",
    "_orchestrate/spanning.py",
    "_orchestrate/under_pytest.py",
    "_orchestrate/under_unittest.py",
    "_orchestrate/warm.py",
    "_orchestrate/xdist.py",
];

const FILES: &[(&str, &str)] = files![
    "",
    "orchestrate_javascript.cjs",
    "orchestrate_jest.cjs",
    "orchestrate_jest_sequencer.cjs",
    "orchestrate_mocha.cjs",
    "orchestrate_node.mjs",
    "orchestrate_node_list.cjs",
    "orchestrate_vitest.mjs",
    "orchestrate_busted.lua",
    "orchestrate_busted_records.lua",
    "orchestrate_busted_session.lua",
    "OrchestrateProve.pm",
    "orchestrate_bats.bash",
    "orchestrate_bats_suite.bash",
];

/// Writes them all into a folder.
///
/// # Errors
/// The folder can't be written.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder.join("_orchestrate"))?;
    for (name, text) in PYTHON.iter().chain(FILES) {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
