//! What the shared cache costs and saves, with a real Redis on this machine:
//! `cargo bench --bench shared_cache`. Told first: for how long another node answers with what was before
//! an edit, on a log of NATS JetStream.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use chrono::DateTime;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use hoplog::cache::Level2;
use hoplog::clock::Clock;
use hoplog::commands::code::CodeMaker;
use hoplog::commands::code_secret::CodeSecret;
use hoplog::commands::create_link::WantedLink;
use hoplog::commands::worker::WorkerId;
use hoplog::commands::{Commands, Issuer};
use hoplog::config::Codes;
use hoplog::domain::link::{EditLink, LinkCommand};
use hoplog::queries::resolve_link::{LinkPath, LinkResolver};
use hoplog::queries::shared_cache::SharedCache;
use hoplog_events::link::{Destination, LinkKey, RedirectStatus, Tags};
use hoplog_events::log::EventLog;
use hoplog_events::log::contract::nats_server::NatsServer;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::jetstream::JetStreamLog;
use hoplog_projections::lease::Part;
use hoplog_projections::partition::Partitions;
use hoplog_projections::{Database, ReadModels};
use tokio::runtime::Runtime;

#[path = "../tests/support/redis.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod redis_server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINKS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);
const URL: &str = "https://example.com/landing?utm_source=mail&utm_campaign=launch";

fn main() {
    staleness();
    divan::main();
    // A static is never dropped: a Redis and a directory would stay behind.
    drop(WORLD.kept.lock().expect("nobody panicked").take());
}

/// How many edits are waited for.
const EDITS: u32 = 500;

/// From the answer to an edit on one node until another one, which has the link at hand, answers with what it
/// became. Told before the benchmarks: it is a bound that people ask for.
#[expect(clippy::print_stdout, reason = "it is told to a person")]
fn staleness() {
    let runtime = Runtime::new().expect("a runtime");
    let server = NatsServer::start();
    let mut took = runtime.block_on(edits_until_seen(&server.url()));
    took.sort_unstable();
    let of = |share: usize| took[(took.len() - 1) * share / 1_000];
    println!(
        "stale on another node after an edit, {EDITS} edits: median {:?}, p99 {:?}, longest {:?}",
        of(500),
        of(990),
        of(1_000)
    );
}

async fn edits_until_seen(nats: &str) -> Vec<Duration> {
    let options = nats.parse().expect("an address");
    let open = async || {
        let (log, _) = JetStreamLog::open(&options).await.expect("a log");
        let log: Arc<dyn EventLog> = Arc::new(log);
        log
    };
    let (one, other, dir) = (open().await, open().await, tempfile::tempdir().expect("a directory"));
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.expect("a database");
    let models = ReadModels::open(database, Arc::clone(&other), Part::Alone, Partitions::ONE);
    let models = models.await.expect("models");
    models.run();
    let (commands, issuer) = commands(&one).await;
    let key = create(&commands, &issuer).await;
    let resolver = Arc::new(LinkResolver::new(other, models.link_directory(), None));
    let follower = Arc::clone(&resolver);
    let following = tokio::spawn(async move { follower.follow().await });
    resolver.until_followed().await;
    let path = LinkPath { domain: key.domain.as_str(), code: key.code.as_str() };
    let mut took = Vec::new();
    for n in 0..EDITS {
        resolver.resolve(path, DateTime::UNIX_EPOCH).await.expect("it is there");
        let url: Destination = format!("https://example.com/{n}").parse().expect("a URL");
        let edit = EditLink { url: Some(url.clone()), ..EditLink::default() };
        let edit = LinkCommand::Edit(Box::new(edit));
        commands.change_link(&issuer, None, None, &key, None, edit).await.expect("it is edited");
        let answered = Instant::now();
        loop {
            let found = resolver.resolve(path, DateTime::UNIX_EPOCH).await.expect("it is there");
            if found.is_some_and(|found| found.target.url == url) {
                break;
            }
            tokio::task::yield_now().await;
        }
        took.push(answered.elapsed());
    }
    following.abort();
    models.stop().await;
    took
}

/// A log with links, read models of it, and a Redis that has been told of them.
struct World {
    runtime: Runtime,
    log: Arc<dyn EventLog>,
    models: ReadModels,
    shared: SharedCache,
    keys: Vec<LinkKey>,
    kept: Mutex<Option<(redis_server::RedisServer, tempfile::TempDir)>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let redis = redis_server::RedisServer::start();
    let (log, models, shared, keys) = runtime.block_on(fill(dir.path(), &redis.url()));
    let kept = Mutex::new(Some((redis, dir)));
    World { runtime, log, models, shared, keys, kept }
});

async fn fill(
    dir: &std::path::Path,
    redis: &str,
) -> (Arc<dyn EventLog>, ReadModels, SharedCache, Vec<LinkKey>) {
    let log = EmbeddedLog::open(&dir.join("log.db"), OpenOptions::default()).await;
    let log: Arc<dyn EventLog> = Arc::new(log.expect("a log"));
    let database = Database::open_sqlite(&dir.join("read.db")).await.expect("a database");
    let models = ReadModels::open(database, Arc::clone(&log), Part::Alone, Partitions::ONE)
        .await
        .expect("models");
    let level2 = Arc::new(Level2::new(redis.parse().expect("an address"), PATIENCE));
    let (shared, writer) = SharedCache::new(level2, log.id());
    let kept = shared.clone();
    tokio::spawn(async move { kept.level2().keep_connected().await });
    while shared.level2().ping().await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let resolver =
        LinkResolver::new(Arc::clone(&log), models.link_directory(), Some(shared.links().clone()));
    let links = (resolver.cache().clone(), Clock::system());
    tokio::spawn(writer.run(models.link_directory(), models.click_statistics(), links));
    models.tell(Arc::new(shared.clone()));
    models.run();
    let keys = create_links(&log).await;
    for key in &keys {
        while !matches!(shared.links().get(key).await, Ok(Some(_))) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    (log, models, shared, keys)
}

async fn create_links(log: &Arc<dyn EventLog>) -> Vec<LinkKey> {
    let (commands, issuer) = commands(log).await;
    join_all((0..LINKS).map(|_| create(&commands, &issuer))).await
}

async fn commands(log: &Arc<dyn EventLog>) -> (Commands, Issuer) {
    let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
    let secret = CodeSecret::of(log, DateTime::UNIX_EPOCH).await.expect("a secret");
    let issuer = Issuer {
        owner: "ann".parse().expect("an owner"),
        admin: false,
        actor: "bench".into(),
        correlation_id: "bench".into(),
        now: DateTime::UNIX_EPOCH,
    };
    (Commands::new(Arc::clone(log), codes, secret, Vec::new()), issuer)
}

async fn create(commands: &Commands, issuer: &Issuer) -> LinkKey {
    let wanted = WantedLink {
        domain: hoplog_events::link::Domain::service(),
        alias: None,
        url: URL.parse().expect("a URL"),
        expires_at: None,
        redirect: RedirectStatus::Found,
        title: None,
        tags: Tags::default(),
        note: None,
        external_id: None,
        extras: hoplog_events::link::Extras::default(),
    };
    commands.create_link(issuer, None, None, wanted).await.expect("a link").link.key
}

impl World {
    fn resolver(&self, shared: Option<SharedCache>) -> LinkResolver {
        let directory = self.models.link_directory();
        let links = shared.map(|shared| shared.links().clone());
        LinkResolver::new(Arc::clone(&self.log), directory, links)
    }

    fn warm(bencher: Bencher<'_, '_>, resolver: &LinkResolver, key: &LinkKey) {
        let path = LinkPath { domain: key.domain.as_str(), code: key.code.as_str() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let now = Clock::system().now();
        WORLD.runtime.block_on(resolver.resolve(path, now)).expect("it is there");
        bencher.bench_local(|| runtime.block_on(resolver.resolve(black_box(path), now)));
    }
}

/// What nearly every redirect does: the same with a shared cache and without.
#[divan::bench]
fn resolve_a_link_at_hand_without_redis(bencher: Bencher<'_, '_>) {
    World::warm(bencher, &WORLD.resolver(None), &WORLD.keys[500]);
}

#[divan::bench]
fn resolve_a_link_at_hand_with_redis(bencher: Bencher<'_, '_>) {
    let resolver = WORLD.resolver(Some(WORLD.shared.clone()));
    WORLD.runtime.block_on(async {
        // As in a server: the log is followed meanwhile.
        let _ = tokio::time::timeout(Duration::from_millis(200), resolver.follow()).await;
    });
    World::warm(bencher, &resolver, &WORLD.keys[500]);
}

#[divan::bench(args = [1, 64])]
fn look_links_up_in_redis(bencher: Bencher<'_, '_>, at_once: usize) {
    let World { runtime, shared, keys, .. } = &*WORLD;
    bencher.counter(ItemsCount::new(at_once)).bench_local(|| {
        let all = keys[..at_once].iter().map(|key| shared.links().get(black_box(key)));
        assert!(runtime.block_on(join_all(all)).iter().all(|found| matches!(found, Ok(Some(_)))));
    });
}

#[divan::bench(args = [1, 64])]
fn look_links_up_in_the_read_model(bencher: Bencher<'_, '_>, at_once: usize) {
    let World { runtime, models, keys, .. } = &*WORLD;
    let directory = models.link_directory();
    bencher.counter(ItemsCount::new(at_once)).bench_local(|| {
        let all = keys[..at_once].iter().map(|key| directory.get(black_box(key)));
        assert!(runtime.block_on(join_all(all)).iter().all(|row| matches!(row, Ok(Some(_)))));
    });
}

/// The same with the position that the answer accounts for.
#[divan::bench(args = [1, 64])]
fn look_links_up_in_the_read_model_as_of(bencher: Bencher<'_, '_>, at_once: usize) {
    let World { runtime, models, keys, .. } = &*WORLD;
    let directory = models.link_directory();
    bencher.counter(ItemsCount::new(at_once)).bench_local(|| {
        let one = |key| directory.get_as_of(std::slice::from_ref(black_box(key)));
        let all = keys[..at_once].iter().map(one);
        assert!(runtime.block_on(join_all(all)).iter().all(Result::is_ok));
    });
}
