//! Files that runners bring along: embedded in the binary, written out when a runner's command names `<support>`.

use std::fs;
use std::io;
use std::path::Path;

const FILES: [(&str, &str); 12] = [
    (
        "orchestrate_pytest.py",
        include_str!("orchestrate_pytest.py"),
    ),
    (
        "orchestrate_coverage.py",
        include_str!("orchestrate_coverage.py"),
    ),
    (
        "orchestrate_report.py",
        include_str!("orchestrate_report.py"),
    ),
    (
        "orchestrate_session.py",
        include_str!("orchestrate_session.py"),
    ),
    (
        "orchestrate_unittest.py",
        include_str!("orchestrate_unittest.py"),
    ),
    ("orchestrate_node.mjs", include_str!("orchestrate_node.mjs")),
    ("orchestrate_jest.cjs", include_str!("orchestrate_jest.cjs")),
    (
        "orchestrate_vitest.mjs",
        include_str!("orchestrate_vitest.mjs"),
    ),
    (
        "orchestrate_busted.lua",
        include_str!("orchestrate_busted.lua"),
    ),
    (
        "orchestrate_busted_records.lua",
        include_str!("orchestrate_busted_records.lua"),
    ),
    (
        "orchestrate_busted_session.lua",
        include_str!("orchestrate_busted_session.lua"),
    ),
    ("OrchestrateProve.pm", include_str!("OrchestrateProve.pm")),
];

/// Writes them all into a folder.
///
/// # Errors
/// The folder can't be written.
pub fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
