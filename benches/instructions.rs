//! Runs each of the hot pieces a number of times, for `callgrind` to count their instructions: see
//! `benches/count-instructions`, which builds and runs it, and `tests/instructions.rs`, which holds the counts
//! to those that are kept in `benches/instructions.txt`.

#![expect(clippy::expect_used, reason = "what can't be set up ends")]

use std::hint::black_box;

use hoplog::ratelimit::MonotonicClock;

#[path = "hot_paths/pieces.rs"]
mod pieces;
#[path = "hot_paths/redirect.rs"]
mod redirect;

/// The one that the program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each piece runs: what it finds depends on the seeds of hashes, and evens out. Fewer than fit in the
/// recorder's queue.
const TIMES: usize = 1_000;

/// Clicks in a batch, as at middling load.
const BATCH_CLICKS: usize = 64;

/// Batches are long, and all alike.
const BATCHES: usize = 20;

fn main() {
    run(TIMES, pieces::find_a_link_in_the_cache());
    run(TIMES, pieces::take_a_visit_from_a_request());
    run(TIMES, pieces::find_the_clients_address());
    run(TIMES, pieces::choose_by_eight_rules());
    run(TIMES, pieces::choose_of_a_split());
    run(TIMES, pieces::decide_a_rate_limit(MonotonicClock::set_by_hand()));
    run(BATCHES, pieces::enrich_and_write_a_batch_of_clicks(BATCH_CLICKS));
    run(TIMES, pieces::parse_a_destination());
    run(TIMES, pieces::decide_a_creation());
    run(TIMES, pieces::make_a_random_code());
    run(TIMES, redirect::answer_a_redirect());
}

/// Runs a piece once for what only the first time costs, then is counted.
fn run(times: usize, mut piece: impl FnMut()) {
    piece();
    counted(times, black_box(&mut piece));
}

/// `callgrind` tells what each function called from here cost with all that it called: of this name, so it must
/// not vanish in its callers, nor a piece in it.
#[inline(never)]
fn counted(times: usize, piece: &mut dyn FnMut()) {
    for _ in 0..times {
        black_box(&mut *piece)();
    }
}
