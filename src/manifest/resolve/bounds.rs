//! What a group's jobs may use, and what is kept of them.

use super::Resolver;
use super::layers::Layers;
use crate::manifest::config::{Bounds, Origin};
use crate::manifest::model::{IsolationLevel, KeepTmp as Asked, Network as AskedNetwork};
use crate::manifest::problem::Problem;
use crate::manifest::source::join;
use crate::worker::frame::{KeepTmp, Level, Limits, Network};

const OUTPUT_LIMIT: u64 = 1 << 20;
const OUTPUT_MAX: u64 = 1 << 30;

impl Resolver<'_> {
    pub(super) fn bounds(&mut self, layers: &mut Layers<'_>) -> Bounds {
        let built_in = |value: &str| (value.to_owned(), Origin::BuiltIn);
        let output_limit = layers.take(
            "output-limit",
            |group| group.output_limit,
            built_in("\"1MiB\""),
        );
        let output_max = layers.take("output-max", |group| group.output_max, built_in("\"1GiB\""));
        let memory = layers.take("memory", |group| group.memory, built_in("none"));
        let cpu_time = layers.take("cpu-time", |group| group.cpu_time, built_in("none"));
        let open_files = layers.take("open-files", |group| group.open_files, built_in("none"));
        let file_size = layers.take("file-size", |group| group.file_size, built_in("none"));
        let keep_tmp = layers.take("keep-tmp", |group| group.keep_tmp, built_in("\"never\""));
        let level = layers.take(
            "isolation-level",
            |group| group.isolation_level,
            built_in("\"supervisor\""),
        );
        let network = layers.take("network", |group| group.network, built_in("\"host\""));
        let clear = layers.take("env-clear", |group| group.env_clear, built_in("false"));
        let allow_at = layers.pointer("env-allow", |group| group.env_allow.as_ref());
        let allow = layers.take(
            "env-allow",
            |group| group.env_allow.as_ref(),
            built_in("[\"PATH\"]"),
        );
        let clear = clear.unwrap_or(false);
        if let (Some(pointer), false) = (allow_at, clear) {
            self.problems.push(
                Problem::key(pointer, "`env-allow` goes with `env-clear = true`")
                    .label("allows what is not taken away"),
            );
        }
        let secrets = self.secrets(layers);
        Bounds {
            output_limit: output_limit.map_or(OUTPUT_LIMIT, |size| size.0),
            output_max: output_max.map_or(OUTPUT_MAX, |size| size.0),
            limits: Limits {
                memory: memory.map(|size| size.0),
                // The kernel counts whole seconds, and 0 would be none at all.
                cpu_seconds: cpu_time.map(|span| {
                    let more = u64::from(span.0.subsec_nanos() > 0);
                    (span.0.as_secs() + more).max(1)
                }),
                open_files: open_files.map(|count| u64::from(count.0)),
                file_size: file_size.map(|size| size.0),
            },
            env_only: clear.then(|| match allow {
                Some(names) => names.iter().map(Into::into).collect(),
                None => vec!["PATH".into()],
            }),
            secrets,
            level: match level {
                None | Some(IsolationLevel::Supervisor) => Level::Supervisor,
                Some(IsolationLevel::PidNamespace) => Level::PidNamespace,
                Some(IsolationLevel::Sandbox) => Level::Sandbox,
                Some(IsolationLevel::Cgroup) => Level::Cgroup,
            },
            network: match network {
                None | Some(AskedNetwork::Host) => Network::Host,
                Some(AskedNetwork::Private) => Network::Private,
                Some(AskedNetwork::None) => Network::None,
            },
            keep_tmp: match keep_tmp {
                None | Some(Asked::Never) => KeepTmp::Never,
                Some(Asked::Failed) => KeepTmp::Failed,
                Some(Asked::Always) => KeepTmp::Always,
            },
        }
    }

    /// The patterns of `secrets`.
    fn secrets(&mut self, layers: &mut Layers<'_>) -> Vec<glob::Pattern> {
        let at = layers.pointer("secrets", |group| group.secrets.as_ref());
        let built_in = ("[]".to_owned(), Origin::BuiltIn);
        let written = layers.take("secrets", |group| group.secrets.as_ref(), built_in);
        let mut patterns = Vec::new();
        for (index, text) in written.into_iter().flatten().enumerate() {
            let is_name = !text.is_empty() && !text.contains(['=', '\0']);
            match glob::Pattern::new(text) {
                Ok(pattern) if is_name => patterns.push(pattern),
                _ => {
                    let pointer = join(at.as_deref().unwrap_or_default(), &index.to_string());
                    let message = format!("{text:?} is no pattern of a variable's name");
                    self.problems.push(
                        Problem::value(pointer, message)
                            .label("names no variable")
                            .help("write a name, with `*` for any characters: \"DB_*\"".to_owned()),
                    );
                }
            }
        }
        patterns
    }
}
