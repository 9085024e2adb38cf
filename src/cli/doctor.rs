//! `orchestrate doctor`: what works on this system.

use std::path::Path;

use super::{exit, print};
use crate::execute;
use crate::worker::frame::{Level, Network};
use crate::worker::{Scratch, bases};

/// What each level can't hold, even where it works.
const LEVELS: [(Level, &str, &str); 4] = [
    (
        Level::Supervisor,
        "supervisor",
        "does not hold processes of another user (set-uid programs), nor what a daemon outside starts for a job; nor a job \
         that kills its worker and orchestrate at the same time",
    ),
    (
        Level::PidNamespace,
        "pid-namespace",
        "does not hold what a daemon outside starts for a job",
    ),
    (
        Level::Sandbox,
        "sandbox",
        "does not hide the user's other files, nor the network: see `network`",
    ),
    (
        Level::Cgroup,
        "cgroup",
        "does not hold what a daemon outside starts for a job, nor what root moves to another control group",
    ),
];

const NETWORKS: [(Network, &str, &str); 2] = [
    (
        Network::Private,
        "private",
        "does not hide sockets that are files",
    ),
    (
        Network::None,
        "none",
        "does not hide sockets that are files",
    ),
];

/// Prints it; an error if not even a plain job can be run.
pub fn doctor() -> u8 {
    let mut code = exit::SUCCESS;
    print("isolation-level:\n");
    for (level, name, limits) in LEVELS {
        match execute::probe(level, Network::Host) {
            Ok(_) => print(clean!("  {name:<14} works; {limits}\n")),
            Err(why) => {
                if level == Level::Supervisor {
                    code = exit::INFRASTRUCTURE;
                }
                print(clean!("  {name:<14} does not work here: {why}\n"));
            }
        }
    }
    print("network:\n");
    for (network, name, limits) in NETWORKS {
        match execute::probe(Level::Supervisor, network) {
            Ok(_) => print(clean!("  {name:<14} works; {limits}\n")),
            Err(why) => print(clean!("  {name:<14} does not work here: {why}\n")),
        }
    }
    match Scratch::new("doctor") {
        Ok(scratch) => {
            let chosen = scratch.path().parent().unwrap_or(Path::new("/"));
            print(clean!("temporary folders: in {}\n", chosen.display()));
            // The best first: what comes before the chosen one could not be written, what comes after it is worse.
            for base in bases() {
                print(clean!("  {:<14} {base}\n", base.path.display()));
            }
        }
        Err(error) => {
            code = exit::INFRASTRUCTURE;
            print(clean!("temporary folders: {error}\n"));
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    print(clean!("cores: {cores}\n"));
    code
}
