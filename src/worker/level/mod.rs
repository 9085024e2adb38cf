//! What holds a job's processes together beyond the worker itself.
//!
//! The worker finds whatever descends from it, but can't end a process of another user. A control group is ended by the kernel,
//! whoever its processes belong to; a process namespace is, with its first process. Both need a privilege, so a group asks
//! for them.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod namespace;

#[cfg(target_os = "linux")]
pub use cgroup::Cgroup;
#[cfg(target_os = "linux")]
pub use namespace::{Held, hold};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;

    /// There are no control groups here.
    pub enum Cgroup {}

    impl Cgroup {
        /// Always says so.
        ///
        /// # Errors
        /// Always.
        pub fn new(_: Option<u64>) -> Result<Self, String> {
            Err("control groups are Linux's".to_owned())
        }

        /// Of none.
        pub fn is_out_of_memory(&self) -> bool {
            false
        }

        /// Of none.
        ///
        /// # Errors
        /// None.
        pub fn end(self) -> io::Result<u32> {
            Ok(0)
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Cgroup;
