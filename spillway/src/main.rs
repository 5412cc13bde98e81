//! The one binary: a subcommand per role.

fn main() {}
