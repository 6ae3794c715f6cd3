//! The pieces that every redirect or creation runs through, one by one: `cargo bench`.
//!
//! Whole paths, over sockets and with fsync, are measured by `benches/run`.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use chrono::DateTime;
use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog::cache::{CacheOptions, Loaded, NobodyElse, TwoLevelCache};
use hoplog::clicks::address::{TrustedProxies, client_address};
use hoplog::clicks::country::Locator;
use hoplog::clicks::enrichment::Enricher;
use hoplog::clicks::visit::Visit;
use hoplog::clicks::visitor::VisitorSalts;
use hoplog::clock::Clock;
use hoplog::commands::code::CodeMaker;
use hoplog::commands::worker::WorkerId;
use hoplog::config::Codes;
use hoplog::domain::link::{CreateLink, LinkCommand, Request, Requester, decide, evolve};
use hoplog::limits::{Limits, Rules};
use hoplog::queries::resolve_link::{LinkPath, Target};
use hoplog::ratelimit::{Limiter, MonotonicClock};
use hoplog_events::click::ClicksData;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{Destination, LinkEvent, LinkKey, LinkState, RedirectStatus, Tags};
use hoplog_events::position::{StreamId, Topic, Version};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> =
    divan::AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    divan::main();
}

const URL: &str = "https://example.com/landing?utm_source=mail&utm_campaign=launch";
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/126.0 Safari/537.36";

fn key(n: usize) -> LinkKey {
    format!("default/code{n}").parse().expect("a key")
}

fn create() -> Request {
    let create = CreateLink {
        key: key(1),
        url: URL.parse().expect("a URL"),
        owner: "ann".parse().expect("an owner"),
        expires_at: None,
        redirect: RedirectStatus::Found,
        title: None,
        tags: Tags::default(),
        note: None,
        external_id: None,
        extras: hoplog_events::link::Extras::default(),
    };
    Request {
        requester: Requester::Admin,
        now: DateTime::UNIX_EPOCH,
        expected: None,
        own_hosts: vec!["go.example.com".into()],
        command: LinkCommand::Create(Box::new(create)),
    }
}

fn created() -> LinkEvent {
    decide(None, &create()).expect("it is allowed").remove(0)
}

#[divan::bench]
fn parse_a_destination() -> Destination {
    black_box(URL).parse().expect("a URL")
}

#[divan::bench]
fn decide_a_creation(bencher: Bencher<'_, '_>) {
    let request = create();
    bencher.bench(|| decide(None, black_box(&request)));
}

#[divan::bench]
fn evolve_a_creation(bencher: Bencher<'_, '_>) {
    let (event, key) = (created(), key(1));
    bencher.bench(|| evolve(None, &key, black_box(&event), DateTime::UNIX_EPOCH));
}

#[divan::bench]
fn make_a_random_code(bencher: Bencher<'_, '_>) {
    let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
    bencher.bench(|| codes.make(DateTime::UNIX_EPOCH));
}

#[divan::bench]
fn make_a_snowflake_code(bencher: Bencher<'_, '_>) {
    let codes = CodeMaker::new(Codes::Snowflake, WorkerId::ONLY);
    let clock = Clock::system();
    bencher.bench(|| codes.make(clock.now()));
}

#[divan::bench]
fn find_a_link_in_the_cache(bencher: Bencher<'_, '_>) {
    let options = CacheOptions::new("bench", 100_000);
    let cache = TwoLevelCache::<LinkKey, Arc<Target>>::new(options, None, Arc::new(NobodyElse));
    for n in 0..10_000 {
        cache.remember(&key(n), Loaded::value(Arc::new(target(n)), 1), 0);
    }
    bencher.bench(|| cache.get(&LinkPath { domain: "default", code: black_box("code5000") }, 1));
}

/// What the crate below takes for the same.
#[divan::bench]
fn find_a_link_in_the_bare_crate(bencher: Bencher<'_, '_>) {
    let cache: quick_cache::sync::Cache<LinkKey, Arc<Target>> =
        quick_cache::sync::Cache::new(100_000);
    for n in 0..10_000 {
        cache.insert(key(n), Arc::new(target(n)));
    }
    bencher.bench(|| cache.get(&LinkPath { domain: "default", code: black_box("code5000") }));
}

#[divan::bench]
fn find_the_clients_address(bencher: Bencher<'_, '_>) {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", "203.0.113.9, 10.0.0.2".parse().expect("a value"));
    let networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let trusted = TrustedProxies { networks, ..TrustedProxies::default() };
    let peer = "10.0.0.1".parse().expect("an address");
    bencher.bench(|| client_address(peer, black_box(&headers), &trusted));
}

/// What every redirect pays for the limits that are built in: of addresses that are counted already.
#[divan::bench]
fn count_a_redirect(bencher: Bencher<'_, '_>) {
    let most = NonZeroUsize::MIN.saturating_add(99_999);
    let limiter = Limiter::in_process(most, MonotonicClock::system());
    let limits = Limits::new(Rules::builtin().expect("they are there"), limiter);
    let addresses: Vec<IpAddr> =
        (0..1_000_u32).map(|n| Ipv4Addr::from_bits(0x0808_0000 | n).into()).collect();
    for address in &addresses {
        limits.redirect(&Method::GET, *address).expect("nobody is refused yet");
    }
    let mut next = addresses.iter().cycle();
    bencher.bench_local(|| {
        let address = next.next().copied().expect("there are some");
        // Whether it is refused: in a benchmark, some are.
        limits.redirect(&Method::GET, black_box(address)).is_ok()
    });
}

fn target(n: usize) -> Target {
    Target {
        key: key(n),
        owner: "ann".parse().expect("an owner"),
        url: URL.parse().expect("a URL"),
        location: URL.into(),
        redirect: RedirectStatus::Found,
        state: LinkState::Active,
        expires_at: None,
        extras: None,
        created_at: DateTime::UNIX_EPOCH,
        version: Version(1),
    }
}

fn visits(count: usize) -> (Vec<Visit>, Enricher, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let salts = VisitorSalts::open(&dir.path().join("salts.json")).expect("salts");
    let enricher = Enricher::new(Locator::open(None).expect("the table"), salts, false);
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", AGENT.parse().expect("a value"));
    headers.insert("referer", "https://news.example.org/item?id=1".parse().expect("a value"));
    headers.insert("accept-language", "en-GB,en;q=0.8".parse().expect("a value"));
    let (target, at) = (Arc::new(target(1)), Clock::system().now());
    let address = "203.0.113.9".parse().ok();
    let visit = |_| Visit::new(Arc::clone(&target), at, address, (&Method::GET, None, &headers));
    ((0..count).map(visit).collect(), enricher, dir)
}

#[divan::bench]
fn take_a_visit_from_a_request(bencher: Bencher<'_, '_>) {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", AGENT.parse().expect("a value"));
    let (target, at) = (Arc::new(target(1)), Clock::system().now());
    bencher.bench(|| {
        Visit::new(Arc::clone(&target), at, None, (&Method::GET, None, black_box(&headers)))
    });
}

#[divan::bench(args = [1, 64, 1_000])]
fn enrich_and_write_a_batch_of_clicks(bencher: Bencher<'_, '_>, count: usize) {
    let (visits, enricher, _dir) = visits(count);
    let stream = StreamId::new(Topic::Clicks, "0");
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: "visitor".into(), command_id, command_hash: None, correlation_id: None };
    let (now, mut data) = (Clock::system().now(), ClicksData::default());
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        data.clear();
        for visit in &visits {
            let click = enricher.click(visit, now).expect("salts are kept");
            assert!(data.push(&click).expect("it is written"), "there is room");
        }
        NewEvent::write_clicks(&stream, &data, Uuid::now_v7(), now, &metadata)
    });
}
