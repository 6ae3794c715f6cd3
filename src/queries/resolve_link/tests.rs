//! Nodes that share a log and a Redis, each with read models and a cache of its own, held against
//! what the commands were answered.

use std::collections::HashMap;
use std::path::Path;
use std::slice;
use std::time::Instant;

use hoplog_events::log::contract::nats_server::NatsServer;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::jetstream::JetStreamLog;
use hoplog_events::position::Topic;
use hoplog_projections::lease::Part;
use hoplog_projections::partition::Partitions;
use hoplog_projections::{Database, ReadModels};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::cache::{Level2, Level2Error};
use crate::clock::Clock;
use crate::commands::code::CodeMaker;
use crate::commands::code_secret::CodeSecret;
use crate::commands::create_link::WantedLink;
use crate::commands::worker::WorkerId;
use crate::commands::{Commands, Issuer};
use crate::config::Codes;
use crate::domain::link::{EditLink, LinkCommand};
use crate::execute::{ExecuteError, Outcome};
use crate::queries::shared_cache::SharedCache;
use crate::redis_connection::redis_server::RedisServer;

mod put_back;
mod shared;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a call to Redis may take: tests run on machines that are busy.
const DEADLINE: Duration = Duration::from_secs(2);

/// One of the nodes.
struct Node {
    resolver: Arc<LinkResolver>,
    shared: SharedCache,
    models: Arc<ReadModels>,
    tasks: JoinSet<()>,
    dir: Arc<TempDir>,
}

struct World {
    redis: RedisServer,
    log: Arc<dyn EventLog>,
    /// The same, if it is in a file.
    embedded: Option<Arc<EmbeddedLog>>,
    commands: Commands,
    nodes: [Node; 2],
    /// What the last command on each link was answered.
    links: HashMap<LinkKey, Outcome>,
    /// Every state that ever was, with the last event that it accounts for.
    history: Vec<(Arc<Target>, Sequence)>,
    hits: usize,
    dir: TempDir,
}

fn key(n: u8) -> LinkKey {
    format!("default/link{n}").parse().unwrap()
}

async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Node {
    async fn start(log: &Arc<dyn EventLog>, redis: &RedisServer, dir: Arc<TempDir>) -> Self {
        let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
        let models = ReadModels::open(database, Arc::clone(log), Part::Alone, Partitions::ONE)
            .await
            .unwrap();
        let models = Arc::new(models);
        let level2 = Arc::new(Level2::new(redis.url().parse().unwrap(), DEADLINE));
        let (shared, writer) = SharedCache::new(level2, log.id());
        models.tell(Arc::new(shared.clone()));
        models.run();
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let links = Some(shared.links().clone());
        let resolver = LinkResolver::new(Arc::clone(log), models.link_directory(), links);
        let resolver = Arc::new(resolver);
        let mut tasks = JoinSet::new();
        let kept = shared.clone();
        tasks.spawn(async move { kept.level2().keep_connected().await });
        let links = (resolver.cache().clone(), clock);
        tasks.spawn(writer.run(models.link_directory(), models.click_statistics(), links));
        let follower = Arc::clone(&resolver);
        tasks.spawn(async move { follower.follow().await });
        let node = Self { resolver, shared, models, tasks, dir };
        node.connected().await;
        node
    }

    /// A new process on the same read models: it remembers nothing.
    async fn start_again(&mut self, log: &Arc<dyn EventLog>, redis: &RedisServer) {
        self.tasks.abort_all();
        self.models.stop().await;
        *self = Self::start(log, redis, Arc::clone(&self.dir)).await;
    }

    async fn connected(&self) {
        eventually("Redis answers", async || self.shared.level2().ping().await.is_ok()).await;
    }

    async fn resolve(&self, key: &LinkKey) -> Option<Arc<Target>> {
        let path = LinkPath { domain: key.domain.as_str(), code: key.code.as_str() };
        let found = self.resolver.resolve(path, NOW).await.unwrap();
        found.map(|found| {
            assert!(!found.is_stale, "log and read model are there");
            found.target
        })
    }

    /// The same while the log may be away; `None`: nobody answers.
    async fn try_resolve(&self, key: &LinkKey) -> Option<Arc<Target>> {
        let path = LinkPath { domain: key.domain.as_str(), code: key.code.as_str() };
        self.resolver.resolve(path, NOW).await.ok().flatten().map(|found| found.target)
    }

    /// What the shared cache has, if this node believes it; nothing is at hand then.
    async fn ask_shared(&self, key: &LinkKey) -> Option<Arc<Target>> {
        self.resolver.cache.clear();
        let found = self.resolver.cache.get_many(slice::from_ref(key), 0).await.pop().flatten();
        found?.value
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Self::open(dir.path()).await;
        let log: Arc<dyn EventLog> = Arc::<EmbeddedLog>::clone(&embedded);
        Self { embedded: Some(embedded), dir, ..Self::on(log).await }
    }

    async fn open(dir: &Path) -> Arc<EmbeddedLog> {
        let embedded = EmbeddedLog::open(&dir.join("log.db"), OpenOptions::default()).await;
        Arc::new(embedded.unwrap())
    }

    async fn on(log: Arc<dyn EventLog>) -> Self {
        let redis = RedisServer::start();
        let (commands, nodes) = Self::start(&log, &redis).await;
        let (links, history) = (HashMap::new(), Vec::new());
        let dir = tempfile::tempdir().unwrap();
        Self { redis, log, embedded: None, commands, nodes, links, history, hits: 0, dir }
    }

    async fn start(log: &Arc<dyn EventLog>, redis: &RedisServer) -> (Commands, [Node; 2]) {
        let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
        let secret = CodeSecret::of(log, DateTime::UNIX_EPOCH).await.unwrap();
        let commands = Commands::new(Arc::clone(log), codes, secret, Vec::new());
        let own = || Arc::new(tempfile::tempdir().unwrap());
        (commands, [Node::start(log, redis, own()).await, Node::start(log, redis, own()).await])
    }

    /// Ends all processes, does something to the files of the log, and starts them again with empty
    /// read models.
    async fn restart_with(&mut self, change: impl FnOnce(&Path)) {
        for node in &mut self.nodes {
            node.tasks.abort_all();
            node.models.stop().await;
        }
        self.embedded.take().unwrap().close().await;
        change(self.dir.path());
        let embedded = Self::open(self.dir.path()).await;
        self.log = Arc::<EmbeddedLog>::clone(&embedded);
        self.embedded = Some(embedded);
        (self.commands, self.nodes) = Self::start(&self.log, &self.redis).await;
    }

    /// As often as it takes: a log that was away is there again.
    async fn command_until(&mut self, n: u8, step: &Step, version: u64) {
        let deadline = Instant::now() + PATIENCE;
        let is = |world: &Self| world.links.get(&key(n)).map(|outcome| outcome.link.version);
        while is(self) != Some(Version(version)) {
            assert!(Instant::now() < deadline, "in vain: {step:?}");
            self.command(0, n, step).await;
        }
    }

    fn issuer() -> Issuer {
        Issuer {
            owner: "ann".parse().unwrap(),
            admin: false,
            actor: "key:test".into(),
            correlation_id: "r1".into(),
            now: DateTime::UNIX_EPOCH,
        }
    }

    /// A command through one of the nodes. A refusal changes nothing.
    async fn command(&mut self, node: usize, n: u8, step: &Step) {
        let (issuer, era) = (Self::issuer(), self.nodes[node].resolver.era());
        let command = match step {
            Step::Create(url) => {
                let wanted = WantedLink {
                    domain: hoplog_events::link::Domain::service(),
                    alias: Some(format!("link{n}").parse().unwrap()),
                    url: format!("https://example.com/{url}").parse().unwrap(),
                    expires_at: None,
                    redirect: hoplog_events::link::RedirectStatus::Found,
                    title: None,
                    tags: hoplog_events::link::Tags::default(),
                    note: None,
                    external_id: None,
                    extras: hoplog_events::link::Extras::default(),
                };
                let created = self.commands.create_link(&issuer, None, None, wanted).await;
                return self.answered(node, era, created);
            }
            Step::Edit(url) => {
                let url = format!("https://example.com/{url}").parse().unwrap();
                LinkCommand::Edit(Box::new(EditLink { url: Some(url), ..EditLink::default() }))
            }
            Step::Disable => LinkCommand::Disable,
            Step::Enable => LinkCommand::Enable,
            _ => LinkCommand::Delete,
        };
        let changed = self.commands.change_link(&issuer, None, None, &key(n), None, command).await;
        self.answered(node, era, changed);
    }

    fn answered(&mut self, node: usize, era: Era, answer: Result<Outcome, ExecuteError>) {
        let Ok(outcome) = answer else { return };
        self.nodes[node].resolver.remember(era, outcome.link.clone(), outcome.position, NOW);
        let target = Arc::new(Target::from(outcome.link.clone()));
        self.history.push((target, outcome.position.sequence));
        self.links.insert(outcome.link.key.clone(), outcome);
    }

    /// Holds an answer of a node, which has read the log as far as this link goes, against the
    /// last command's.
    async fn check(&mut self, node: usize, n: u8) {
        let (key, node) = (key(n), &self.nodes[node]);
        let expected = self.links.get(&key).map(|outcome| Target::from(outcome.link.clone()));
        if let Some(expected) = &expected {
            let seen = async || node.resolver.source.recent().newest(&key) >= expected.version;
            eventually("the node sees the change", seen).await;
        }
        assert_eq!(node.resolve(&key).await.as_deref(), expected.as_ref());
        if let Some(shared) = node.ask_shared(&key).await {
            assert_eq!(Some(&*shared), expected.as_ref(), "the shared cache is believed");
            self.hits += 1;
        }
        assert_eq!(node.resolve(&key).await.as_deref(), expected.as_ref());
    }

    /// Waits until the read models have everything, and the shared cache what they were told.
    async fn settle(&self) {
        let head = self.log.head(Topic::Links).await.unwrap();
        for node in &self.nodes {
            node.models.wait_for_all(head, PATIENCE).await.unwrap();
        }
        for outcome in self.links.values() {
            let expected = Target::from(outcome.link.clone());
            let is_there = async || {
                let found = self.nodes[0].shared.links().get(&expected.key).await.ok().flatten();
                found.and_then(|loaded| loaded.value).is_some_and(|target| *target == expected)
            };
            eventually("the shared cache has it", is_there).await;
        }
    }

    async fn take(&mut self, node: usize, n: u8, step: Step) {
        match step {
            Step::Resolve => self.check(node, n).await,
            Step::DropLevel1 => self.nodes[node].resolver.cache.clear(),
            Step::Flush => self.redis.flush(),
            Step::LateFill => self.late_fill(node, n).await,
            Step::StartAgain => self.nodes[node].start_again(&self.log, &self.redis).await,
            command => self.command(node, n, &command).await,
        }
    }

    /// A slow reader of long ago writes what was true then, into a Redis that was just emptied.
    async fn late_fill(&mut self, node: usize, n: u8) {
        self.redis.flush();
        let (cache, old) =
            (&self.nodes[node].resolver.cache, usize::from(n) % self.history.len().max(1));
        if let Some((target, as_of)) = self.history.get(old) {
            let old = (target.key.clone(), loaded(Arc::clone(target), *as_of, *as_of));
            let _ = cache.share_many(&[old], 0).await;
        }
        cache.clear();
    }
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Create(u16),
    Edit(u16),
    Disable,
    Enable,
    Delete,
    Resolve,
    DropLevel1,
    Flush,
    LateFill,
    StartAgain,
}

fn steps() -> impl Strategy<Value = Vec<(usize, u8, Step)>> {
    let step = prop_oneof![
        4 => any::<u16>().prop_map(Step::Create),
        6 => any::<u16>().prop_map(Step::Edit),
        2 => Just(Step::Disable),
        2 => Just(Step::Enable),
        1 => Just(Step::Delete),
        20 => Just(Step::Resolve),
        6 => Just(Step::DropLevel1),
        2 => Just(Step::Flush),
        4 => Just(Step::LateFill),
        1 => Just(Step::StartAgain),
    ];
    prop::collection::vec((0..2_usize, 0..4_u8, step), 40..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Traps 1, 2 and 13 (C2, C3, C6): whatever happens to the shared cache and in whatever order its
    /// writers come, every answer of every node is what the last command was answered.
    #[test]
    fn emptying_redis_and_late_writers_change_no_answer(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for (node, n, step) in steps {
                world.take(node, n, step).await;
            }
            world.settle_and_check().await;
        });
    }
}

impl World {
    /// In the end every link is in the shared cache, and both nodes believe it. What was flushed
    /// comes back when it is asked for.
    async fn settle_and_check(&mut self) {
        for (node, key) in
            self.nodes.iter().flat_map(|node| self.links.keys().map(move |key| (node, key)))
        {
            let is_believed = async || {
                node.resolver.cache.clear();
                node.resolve(key).await;
                node.ask_shared(key).await.is_some()
            };
            eventually("the shared cache is believed", is_believed).await;
        }
        let (before, links) = (self.hits, self.links.len());
        for n in 0..4 {
            self.check(0, n).await;
            self.check(1, n).await;
        }
        assert_eq!(self.hits - before, 2 * links, "every link is found there by both");
    }
}
