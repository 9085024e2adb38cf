//! What the settings of jest, vitest, mocha and node have in common.

use std::fs;

use serde_json::Value;

use crate::harness::{Native, Outcomes, Setting, installed};

/// A project for this tool beside the modules that are installed once for all. `native` is the line that runs the tool.
pub fn project(
    runner: &str,
    native: &str,
    arguments: &[&str],
    read: fn(&Value, &str) -> Outcomes,
) -> Setting {
    let native = format!("pwd -P >\"$OUT/root\"; {native} {}", arguments.join(" "));
    let words: Vec<String> = arguments.iter().map(|word| format!("{word:?}")).collect();
    let manifest = format!(
        "[groups.t]\nrunner = {runner:?}\nwith = {{ args = [{}] }}\n",
        words.join(", ")
    );
    let read = move |native: &Native| {
        let text = |name: &str| fs::read_to_string(native.out.join(name)).unwrap_or_default();
        let root = format!("{}/", text("root").trim_end());
        let report = serde_json::from_str(&text("report.json")).unwrap_or_default();
        read(&report, &root)
    };
    let modules = installed("node").join("node_modules");
    let tool = modules.join(runner).display().to_string();
    Setting::new(&native, read)
        .needs(&tool)
        .link("node_modules", &modules)
        .manifest(&manifest)
        .ignoring(&["coverage", "node_modules"])
}

/// The tests of a report in jest's JSON, which vitest writes as well. A file that could not run is one.
pub fn jest_json(report: &Value, root: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for file in report["testResults"].as_array().into_iter().flatten() {
        let path = file["name"].as_str().unwrap_or_default();
        let path = path.strip_prefix(root).unwrap_or(path);
        let tests = file["assertionResults"].as_array().into_iter().flatten();
        let mut count = 0;
        for test in tests {
            let titles = test["ancestorTitles"].as_array().into_iter().flatten();
            let titles = titles.chain([&test["title"]]).filter_map(Value::as_str);
            // In vitest 1 each title is below one without a text.
            let titles = titles.filter(|title| !title.is_empty());
            let name = titles.collect::<Vec<_>>().join(" > ");
            let outcome = match test["status"].as_str().unwrap_or_default() {
                "passed" => "passed",
                "failed" => "failed",
                _ => "skipped",
            };
            outcomes.insert(format!("{path}::{name}"), outcome.to_owned());
            count += 1;
        }
        if count == 0 && file["status"] == "failed" {
            outcomes.insert(path.to_owned(), "errored".to_owned());
        }
    }
    outcomes
}

/// Our id without the group and the project: a report in JSON does not name projects.
pub fn without_project(id: &str) -> String {
    let id = id.split_once("::").map_or(id, |(_, test)| test);
    let (file, name) = id.split_once("::").unwrap_or((id, ""));
    let file = match file.split_once('[') {
        Some((file, _)) => file,
        None => file,
    };
    if name.is_empty() {
        file.to_owned()
    } else {
        format!("{file}::{name}")
    }
}
