//! The pieces that every redirect or creation runs through, each made ready to run again and again:
//! timed by `cargo bench --bench hot_paths`, and their instructions counted by a test.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use chrono::DateTime;
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
use hoplog::domain::choice::Choice;
use hoplog::domain::link::{CreateLink, LinkCommand, Request, Requester, decide};
use hoplog::http::visit::asking::Asking;
use hoplog::limits::{Limits, Rules};
use hoplog::queries::resolve_link::{LinkPath, Target};
use hoplog::ratelimit::{Limiter, MonotonicClock};
use hoplog_events::click::ClicksData;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{Destination, Extras, LinkKey, LinkState, RedirectStatus, Tags};
use hoplog_events::position::{StreamId, Topic, Version};
use hoplog_projections::user_agents::UserAgents;
use uuid::Uuid;

pub(crate) const URL: &str = "https://example.com/landing?utm_source=mail&utm_campaign=launch";
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/126.0 Safari/537.36";

/// Links in the cache, and the places in it.
pub(crate) const CACHED: usize = 10_000;
pub(crate) const CACHE_PLACES: usize = 100_000;

/// Addresses that are counted.
const ADDRESSES: u32 = 1_000;

pub(crate) fn key(n: usize) -> LinkKey {
    format!("default/code{n}").parse().expect("a key")
}

pub(crate) fn target(n: usize) -> Target {
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

/// All codes of the cache in turn: how long one takes depends on where it lies, and that on the hash's seed.
pub(crate) fn codes() -> impl FnMut() -> &'static str {
    let codes: &'static [String] =
        (0..CACHED).map(|n| format!("code{n}")).collect::<Vec<_>>().leak();
    let mut next = 0;
    move || {
        // A prime number of places further each time: in no order, and none is left out.
        next = (next + 7_919) % CACHED;
        &codes[next]
    }
}

pub(crate) fn find_a_link_in_the_cache() -> impl FnMut() {
    let options = CacheOptions::new("bench", CACHE_PLACES);
    let cache = TwoLevelCache::<LinkKey, Arc<Target>>::new(options, None, Arc::new(NobodyElse));
    for n in 0..CACHED {
        cache.remember(&key(n), Loaded::value(Arc::new(target(n)), 1), 0);
    }
    let mut code = codes();
    move || {
        black_box(cache.get(&LinkPath { domain: "default", code: black_box(code()) }, 1));
    }
}

/// The headers that browsers send with every request; some of them are kept.
pub(crate) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let all: [(HeaderName, &'static str); 7] = [
        (header::HOST, "go.example.com"),
        (header::USER_AGENT, AGENT),
        (header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (header::ACCEPT_LANGUAGE, "en-GB,en;q=0.8"),
        (header::ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (header::REFERER, "https://news.example.org/item?id=1"),
        (header::UPGRADE_INSECURE_REQUESTS, "1"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

pub(crate) fn take_a_visit_from_a_request() -> impl FnMut() {
    let (headers, target) = (headers(), Arc::new(target(1)));
    move || {
        let request = (&Method::GET, None, black_box(&headers));
        black_box(Visit::new(Arc::clone(&target), DateTime::UNIX_EPOCH, None, request));
    }
}

/// Rules that ask for everything there is, none of which holds but the last.
const RULES: &str = r#"[
    {"when":{"country":["DE","AT","CH"]},"url":"https://example.com/dach"},
    {"when":{"device":["mobile","tablet"],"system":["iOS"]},"url":"https://example.com/app"},
    {"when":{"language":["fr","nl"]},"url":"https://example.com/fr"},
    {"when":{"query":{"ref":["mail","chat"]}},"url":"https://example.com/mail"},
    {"when":{"referrer":["*.example.net"]},"url":"https://example.com/net"},
    {"when":{"address":["10.0.0.0/8","2001:db8::/32"]},"url":"https://example.com/office"},
    {"when":{"time":{"from":"22:00","until":"06:00","timezone":"Europe/Berlin"}},"url":"https://example.com/night"},
    {"when":{"visitor":"human"},"url":"https://example.com/people"}
]"#;

/// Four variants, as many as most tests have at most.
const SPLIT: &str = r#"[
    {"name":"control","weight":40},{"name":"green","weight":30,"url":"https://example.com/green"},
    {"name":"blue","weight":20,"url":"https://example.com/blue"},{"name":"red","weight":10,"url":"https://example.com/red"}
]"#;

/// Where a visitor is led of a link with eight rules, from the request on.
pub(crate) fn choose_by_eight_rules() -> impl FnMut() {
    let rules = serde_json::from_str(RULES).expect("rules");
    let extras = Extras { rules, ..Extras::default() };
    let (agents, locator) = (UserAgents::default(), Locator::open(None).expect("the table"));
    let (headers, address) = (headers(), "193.0.6.139".parse().expect("an address"));
    let (link, noon) = (key(0), DateTime::from_timestamp(1_800_014_400, 0).expect("an instant"));
    let choose = move || {
        let asked = (&Method::GET, Some("utm_source=a&b=2"), black_box(&headers));
        Choice::of(&link, &extras, &Asking::new((&agents, &locator), (address, noon), asked))
    };
    assert_eq!(choose(), Choice::Rule(7), "the last one");
    move || {
        black_box(choose());
    }
}

/// Where a visitor is led of a link that shares its visitors among four destinations, from the request on.
pub(crate) fn choose_of_a_split() -> impl FnMut() {
    let split = serde_json::from_str(SPLIT).expect("a split");
    let extras = Extras { split, ..Extras::default() };
    let (agents, locator) = (UserAgents::default(), Locator::open(None).expect("the table"));
    let (headers, address) = (headers(), "193.0.6.139".parse().expect("an address"));
    let (link, now) = (key(0), DateTime::UNIX_EPOCH);
    let choose = move || {
        let asked = (&Method::GET, None, black_box(&headers));
        Choice::of(&link, &extras, &Asking::new((&agents, &locator), (address, now), asked))
    };
    assert!(matches!(choose(), Choice::Variant(_)));
    move || {
        black_box(choose());
    }
}

pub(crate) fn find_the_clients_address() -> impl FnMut() {
    let mut headers = headers();
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 10.0.0.2"));
    let networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let trusted = TrustedProxies { networks, ..TrustedProxies::default() };
    let peer = "10.0.0.1".parse().expect("an address");
    move || {
        black_box(client_address(peer, black_box(&headers), &trusted));
    }
}

/// Clicks of several visitors, enriched and written down as one event.
pub(crate) fn enrich_and_write_a_batch_of_clicks(count: usize) -> impl FnMut() {
    let dir = tempfile::tempdir().expect("a directory");
    let salts = VisitorSalts::open(&dir.path().join("salts.json")).expect("salts");
    let enricher = Enricher::new(Locator::open(None).expect("the table"), salts, false);
    let (target, headers, now) = (Arc::new(target(1)), headers(), Clock::system().now());
    let visit = |address| {
        Visit::new(Arc::clone(&target), now, Some(address), (&Method::GET, None, &headers))
    };
    let visits: Vec<Visit> = addresses().cycle().take(count).map(visit).collect();
    let stream = StreamId::new(Topic::Clicks, "0");
    let command_id = CommandId(Uuid::nil());
    let metadata =
        Metadata { actor: "visitor".into(), command_id, command_hash: None, correlation_id: None };
    let mut data = ClicksData::default();
    move || {
        let _ = &dir;
        data.clear();
        for visit in &visits {
            let click = enricher.click(visit, now).expect("salts are kept");
            assert!(data.push(&click).expect("it is written"), "there is room");
        }
        black_box(NewEvent::write_clicks(&stream, &data, Uuid::nil(), now, &metadata))
            .expect("it is written");
    }
}

pub(crate) fn parse_a_destination() -> impl FnMut() {
    || {
        let destination: Destination = black_box(URL).parse().expect("a URL");
        black_box(destination);
    }
}

pub(crate) fn create() -> Request {
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
        extras: Extras::default(),
    };
    Request {
        requester: Requester::Admin,
        now: DateTime::UNIX_EPOCH,
        expected: None,
        named: None,
        own_hosts: vec!["go.example.com".into()],
        domains: Arc::default(),
        blocked: Arc::default(),
        command: LinkCommand::Create(Box::new(create)),
    }
}

pub(crate) fn decide_a_creation() -> impl FnMut() {
    let request = create();
    move || {
        black_box(decide(None, black_box(&request))).expect("it is allowed");
    }
}

pub(crate) fn make_a_random_code() -> impl FnMut() {
    let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
    move || {
        black_box(codes.make(DateTime::UNIX_EPOCH));
    }
}

fn addresses() -> impl Iterator<Item = IpAddr> + Clone {
    (0..ADDRESSES).map(|n| Ipv4Addr::from_bits(0x0808_0000 | n).into())
}

/// What every redirect pays for the limits that are built in: of addresses that are counted already.
pub(crate) fn decide_a_rate_limit(clock: MonotonicClock) -> impl FnMut() {
    let most = NonZeroUsize::MIN.saturating_add(99_999);
    let limiter = Limiter::in_process(most, clock.clone());
    let limits = Limits::new(Rules::builtin().expect("they are there"), limiter);
    let addresses: Vec<IpAddr> = addresses().collect();
    for address in &addresses {
        limits.redirect(&Method::GET, *address).expect("nobody is refused yet");
    }
    let mut next = (0..addresses.len()).cycle();
    move || {
        let address = addresses[next.next().unwrap_or_default()];
        // Where the clock is the machine's, and this is timed for long, some are refused.
        let _ = black_box(limits.redirect(&Method::GET, black_box(address)));
        clock.advance(Duration::from_millis(1));
    }
}
