//! Settings of projects that are tested with unittest.
