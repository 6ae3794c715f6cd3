//! The `hoplog` program.

use std::process::ExitCode;

/// Answers are many small allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hoplog::cli::main()
}
