//! Settings of projects that are tested with node.
