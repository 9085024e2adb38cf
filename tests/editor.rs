//! What an editor makes of our schema: it must find every mistake, list every key once and explain it, without a network.
//!
//! The editors are stood in for by what they run: `tombi`, and `taplo` (Even Better TOML), as linters and as language
//! servers. `tests/setup` installs them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const IN_A_GROUP: &str = "[groups.unit]\n|\n";

#[test]
fn tombi_lints() {
    let Some(tombi) = installed("tombi", "venv/bin/tombi") else {
        return;
    };
    finds_what_is_wrong(&[tombi.as_ref(), "lint".as_ref(), "--offline".as_ref()]);
}

#[test]
fn taplo_lints() {
    let Some(taplo) = installed("taplo", "venv/bin/taplo") else {
        return;
    };
    finds_what_is_wrong(&[taplo.as_ref(), "lint".as_ref()]);
}

#[test]
fn tombi_completes_and_explains() {
    let Some(server) = tombi_server() else { return };
    assert_eq!(server.complete(IN_A_GROUP), keys_of_a_group());
    server.completes_and_explains_values();
}

#[test]
fn taplo_completes_and_explains() {
    let Some(server) = taplo_server() else { return };
    let mut keys = server.complete(IN_A_GROUP);
    // It also offers the keys of inner tables, as `items.file`.
    keys.retain(|key| !key.contains('.'));
    assert_eq!(keys, keys_of_a_group());
    server.completes_and_explains_values();
}

/// The path of a tool below `target/test-env`, or nothing where the set-up could not install it. Under `CI=true` that is
/// a failure.
fn installed(name: &str, path: &str) -> Option<PathBuf> {
    let home = root().join("target/test-env");
    let missing = fs::read_to_string(home.join("missing")).unwrap_or_default();
    let path = home.join(path);
    if path.exists() && !missing.lines().any(|line| line == name) {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no {name}: run `tests/setup`"
    );
    eprintln!("skipped: no {name} (run `tests/setup`)");
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that finds no settings, no cached schema and no network.
fn alone(program: &OsStr, cache: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["RUST_LOG", "TAPLO_CONFIG", "TOMBI_CONFIG"] {
        command.env_remove(name);
    }
    // Port 9 is `discard`: nobody listens.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command.env("XDG_CACHE_HOME", cache).env("NO_COLOR", "1");
    command
}

/// The manifests in `examples/` and `tests/editor/broken/`, by path.
fn manifests(folder: &str, below: &str) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path().join(below))
        .map(|path| path.components().collect())
        .filter(|path: &PathBuf| path.is_file())
        .collect();
    list.sort();
    assert!(!list.is_empty());
    list
}

/// A linter accepts the examples and rejects the broken manifests, and each because of our schema alone.
#[track_caller]
fn finds_what_is_wrong(linter: &[&OsStr]) {
    let folder = TempDir::new().unwrap();
    let lint = |path: &Path| -> Output {
        alone(linter[0], folder.path())
            .args(&linter[1..])
            .arg(path)
            .current_dir(path.parent().unwrap())
            .output()
            .unwrap()
    };
    let accepts = |path: &Path| {
        let output = lint(path);
        assert!(output.status.success(), "{}: {output:?}", path.display());
    };
    let rejects = |path: &Path| {
        let output = lint(path);
        assert!(!output.status.success(), "{} passes", path.display());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };

    for path in manifests("examples", "fastest.toml") {
        accepts(&path);
        // Its schema line leads to the schema: with a table that is not in there it is rejected.
        let copy = folder.path().join(path.strip_prefix(root()).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        write(&copy, &(text + "\n[no-such-table]\n"));
        write(&folder.path().join("schema/fastest.schema.json"), &schema());
        let said = rejects(&copy);
        assert!(said.contains("no-such-table"), "{said}");
    }

    // What is wrong with each of these is in its last line.
    for path in manifests("tests/editor/broken", "") {
        let text = fs::read_to_string(&path).unwrap();
        let place = text.lines().count();
        let said = rejects(&path);
        assert!(said.contains(&format!(".toml:{place}:")), "{said}");

        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.starts_with("#:schema "), "{first:?}");
        let copy = folder.path().join("fastest.toml");
        write(&copy, rest);
        accepts(&copy);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn schema() -> String {
    fs::read_to_string(root().join("schema/fastest.schema.json")).unwrap()
}

fn group_properties() -> Value {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    schema["definitions"]["Group"]["properties"].clone()
}

/// The names of a group's keys, sorted.
fn keys_of_a_group() -> Vec<String> {
    let properties = group_properties();
    let mut keys: Vec<String> = properties.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

/// A language server, in a folder with our schema.
struct Server {
    command: Vec<PathBuf>,
    folder: TempDir,
}

fn tombi_server() -> Option<Server> {
    let tombi = installed("tombi", "venv/bin/tombi")?;
    Some(Server::new(vec![tombi, "lsp".into(), "--offline".into()]))
}

fn taplo_server() -> Option<Server> {
    let module = installed("taplo-lsp", "node/node_modules/@taplo/lsp")?;
    let adapter = root().join("tests/editor/taplo-lsp.cjs");
    Some(Server::new(vec!["node".into(), adapter, module]))
}

impl Server {
    fn new(command: Vec<PathBuf>) -> Self {
        let folder = TempDir::new().unwrap();
        write(&folder.path().join("fastest.schema.json"), &schema());
        Self { command, folder }
    }

    /// Asks a question at the `|` in the manifest.
    fn ask(&self, question: &str, manifest: &str) -> Value {
        let before = manifest.split('|').next().unwrap();
        let line = before.lines().count() - usize::from(!before.ends_with('\n'));
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
        let text = manifest.replace('|', "");
        let file = self.folder.path().join("fastest.toml");
        // The line that `orchestrate init` writes.
        write(&file, &format!("#:schema ./fastest.schema.json\n{text}"));
        let output = alone("python3".as_ref(), self.folder.path())
            .arg(root().join("tests/editor/lsp.py"))
            .arg(question)
            .arg(file)
            .args([(line + 1).to_string(), column.to_string()])
            .arg("--")
            .args(&self.command)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The completions, sorted; one that is offered twice is in there twice.
    fn complete(&self, manifest: &str) -> Vec<String> {
        let mut list: Vec<String> =
            serde_json::from_value(self.ask("completion", manifest)).unwrap();
        list.sort();
        list
    }

    fn completes_and_explains_values(&self) {
        assert_eq!(
            self.complete("[groups.unit]\nchunk-by = \"|\"\n"),
            ["\"any\"", "\"module\""]
        );
        // A value of two types, and one of a few words: editors explain these worse than plain ones.
        for (key, value) in [("timeout", "\"30s\""), ("chunk-by", "\"any\"")] {
            let shown = self.ask("hover", &format!("[groups.unit]\n{key}| = {value}\n"));
            let description = group_properties()[key]["description"].clone();
            let (shown, description) = (shown.as_str().unwrap(), description.as_str().unwrap());
            assert!(shown.contains(description), "{key}: {shown}");
        }
    }
}
