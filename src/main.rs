//! The `hoplog` program.

use std::process::ExitCode;

/// Answers are many small allocations on many threads; so are SQLite's, which use it as well
/// (feature `override`: a click's rows cost a quarter less).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hoplog::cli::main()
}
