//! The `hoplog` program.

fn main() {}
