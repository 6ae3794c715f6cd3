//! The pieces that every redirect or creation runs through, one by one: `cargo bench --bench hot_paths`.
//!
//! Whole paths, over sockets and with fsync, are measured by `benches/run`; instructions are counted by
//! `benches/count-instructions`.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;
use std::sync::Arc;

use chrono::DateTime;
use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog::clock::Clock;
use hoplog::commands::code::CodeMaker;
use hoplog::commands::worker::WorkerId;
use hoplog::config::Codes;
use hoplog::domain::link::{decide, evolve};
use hoplog::queries::resolve_link::{LinkPath, Target};
use hoplog::ratelimit::MonotonicClock;
use hoplog_events::link::LinkKey;

mod pieces;

use pieces::{CACHE_PLACES, CACHED, codes, create, key, target};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> =
    divan::AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    divan::main();
}

#[divan::bench]
fn parse_a_destination(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::parse_a_destination());
}

#[divan::bench]
fn decide_a_creation(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::decide_a_creation());
}

#[divan::bench]
fn evolve_a_creation(bencher: Bencher<'_, '_>) {
    let (event, key) = (decide(None, &create()).expect("it is allowed").remove(0), key(1));
    bencher.bench(|| evolve(None, &key, black_box(&event), DateTime::UNIX_EPOCH));
}

#[divan::bench]
fn choose_by_eight_rules(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::choose_by_eight_rules());
}

#[divan::bench]
fn choose_of_a_split(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::choose_of_a_split());
}

#[divan::bench]
fn make_a_random_code(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::make_a_random_code());
}

#[divan::bench]
fn make_a_snowflake_code(bencher: Bencher<'_, '_>) {
    let codes = CodeMaker::new(Codes::Snowflake, WorkerId::ONLY);
    let clock = Clock::system();
    bencher.bench(|| codes.make(clock.now()));
}

#[divan::bench]
fn find_a_link_in_the_cache(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::find_a_link_in_the_cache());
}

/// What the crate below takes for the same.
#[divan::bench]
fn find_a_link_in_the_bare_crate(bencher: Bencher<'_, '_>) {
    let cache: quick_cache::sync::Cache<LinkKey, Arc<Target>> =
        quick_cache::sync::Cache::new(CACHE_PLACES);
    for n in 0..CACHED {
        cache.insert(key(n), Arc::new(target(n)));
    }
    let mut code = codes();
    bencher.bench_local(|| {
        black_box(cache.get(&LinkPath { domain: "default", code: black_box(code()) }));
    });
}

#[divan::bench]
fn find_the_clients_address(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::find_the_clients_address());
}

#[divan::bench]
fn decide_a_rate_limit(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::decide_a_rate_limit(MonotonicClock::system()));
}

#[divan::bench]
fn take_a_visit_from_a_request(bencher: Bencher<'_, '_>) {
    bencher.bench_local(pieces::take_a_visit_from_a_request());
}

#[divan::bench(args = [1, 64, 1_000])]
fn enrich_and_write_a_batch_of_clicks(bencher: Bencher<'_, '_>, count: usize) {
    let counted = bencher.counter(ItemsCount::new(count));
    counted.bench_local(pieces::enrich_and_write_a_batch_of_clicks(count));
}
