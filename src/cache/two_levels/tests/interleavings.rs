//! Whatever comes in whatever order: nobody is shown a value that is older than one that they have
//! seen on that node, nor one that is over.

use proptest::prelude::*;

use super::two_nodes::Node;
use super::*;
use crate::redis_connection::redis_server::RedisServer;

const KEYS: u32 = 3;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The value changes, and is over after so long; the node that changes it knows.
    Change {
        lasts_ms: u64,
    },
    /// It is written to both levels by the node that knows.
    Write,
    /// A node hears of all changes so far.
    Hear,
    /// Somebody begins to load, and is held up.
    BeginLoad,
    /// Whoever was held up goes on with what they had found.
    EndLoads,
    Read,
    ReadMany,
    Evict,
    Gap,
    Flush,
    /// Time passes.
    Wait(u64),
    SourceAway(bool),
}

fn steps() -> impl Strategy<Value = Vec<(usize, u32, Step)>> {
    let step = prop_oneof![
        6 => prop_oneof![Just(u64::MAX), 1_u64..2_000].prop_map(|lasts_ms| Step::Change { lasts_ms }),
        3 => Just(Step::Write),
        6 => Just(Step::Hear),
        4 => Just(Step::BeginLoad),
        4 => Just(Step::EndLoads),
        12 => Just(Step::Read),
        4 => Just(Step::ReadMany),
        3 => Just(Step::Evict),
        1 => Just(Step::Gap),
        1 => Just(Step::Flush),
        3 => (1_u64..700).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::SourceAway),
    ];
    prop::collection::vec((0..2_usize, 0..KEYS, step), 30..90)
}

struct World {
    redis: RedisServer,
    nodes: [Node; 2],
    source: Source,
    /// The newest of each key.
    newest: HashMap<u32, (u64, u64)>,
    position: u64,
    now_ms: u64,
    /// The newest position that was shown on a node.
    seen: HashMap<(usize, u32), u64>,
    held_up: Vec<(oneshot::Sender<Loaded<String>>, Loaded<String>)>,
}

impl World {
    async fn new() -> Self {
        let redis = RedisServer::start();
        let change = |options: &mut CacheOptions| {
            options.ttl = Duration::from_secs(1);
            options.absent_ttl = Duration::from_millis(300);
            options.fail_safe = Duration::from_secs(3);
            options.retry_after = Duration::from_millis(100);
        };
        let nodes = [Node::new(&redis, change).await, Node::new(&redis, change).await];
        Self {
            redis,
            nodes,
            source: Source::default(),
            newest: HashMap::new(),
            position: 0,
            now_ms: 0,
            seen: HashMap::new(),
            held_up: Vec::new(),
        }
    }

    fn current(&self, key: u32) -> Loaded<String> {
        let Some((position, ends_ms)) = self.newest.get(&key) else { return Loaded::absent(0) };
        value(&position.to_string(), *position).until(*ends_ms)
    }

    async fn take(&mut self, node: usize, key: u32, step: Step) {
        match step {
            Step::Change { lasts_ms } => {
                self.position += 1;
                let ends_ms = self.now_ms.saturating_add(lasts_ms);
                self.newest.insert(key, (self.position, ends_ms));
                self.source.says(key, self.current(key));
                self.hear(node, key);
                self.nodes[node].cache.remember(&key, self.current(key), self.now_ms);
            }
            Step::Write => {
                let _ = self.nodes[node]
                    .cache
                    .share_many(&[(key, self.current(key))], self.now_ms)
                    .await;
            }
            Step::Hear => {
                for key in 0..KEYS {
                    self.hear(node, key);
                }
            }
            Step::BeginLoad => self.begin_load(node, key).await,
            Step::EndLoads => {
                for (go, found) in self.held_up.drain(..) {
                    let _ = go.send(found);
                }
                tokio::task::yield_now().await;
            }
            Step::Read => self.read(node, key).await,
            Step::ReadMany => {
                let keys: Vec<u32> = (0..KEYS).collect();
                let found = self.nodes[node].cache.get_many(&keys, self.now_ms).await;
                for (key, found) in keys.into_iter().zip(found) {
                    if let Some(found) = found {
                        self.check(node, key, &found);
                    }
                }
            }
            Step::Evict => self.nodes[node].cache.clear(),
            Step::Gap => self.nodes[node].cache.doubt_everything(),
            Step::Flush => self.redis.flush(),
            Step::Wait(ms) => self.now_ms += ms,
            Step::SourceAway(is_away) => self.source.goes_away(is_away),
        }
    }

    fn hear(&self, node: usize, key: u32) {
        if let Some((position, _)) = self.newest.get(&key) {
            self.nodes[node].heard.hear(key, *position);
            self.nodes[node].cache.invalidate(&key, *position);
        }
    }

    /// A reader finds what is true now, and brings it when it is long over.
    async fn begin_load(&mut self, node: usize, key: u32) {
        let (go, wait) = oneshot::channel();
        let (wait, source) = (Arc::new(Mutex::new(Some(wait))), self.source.clone());
        let load = move || {
            let (wait, next) = (wait.lock().unwrap().take(), source.load(key)());
            async move {
                match wait {
                    Some(wait) => wait.await.map_err(|_| SourceAway("gone".into())),
                    None => next.await,
                }
            }
        };
        let (cache, now_ms) = (self.nodes[node].cache.clone(), self.now_ms);
        tokio::spawn(async move { cache.get_or_load(&key, now_ms, load).await });
        tokio::task::yield_now().await;
        self.held_up.push((go, self.current(key)));
    }

    async fn read(&mut self, node: usize, key: u32) {
        // Nobody is held up for good.
        for (go, found) in self.held_up.drain(..) {
            let _ = go.send(found);
        }
        let cache = &self.nodes[node].cache;
        if let AtHand::Value(text) = cache.get(&key, self.now_ms) {
            let position = text.parse().unwrap();
            let found = Found { value: Some(text), position, is_stale: false };
            self.check(node, key, &found);
        }
        let answer =
            self.nodes[node].cache.get_or_load(&key, self.now_ms, self.source.load(key)).await;
        if let Ok(found) = answer {
            self.check(node, key, &found);
        }
    }

    fn check(&mut self, node: usize, key: u32, found: &Found<String>) {
        let seen = self.seen.entry((node, key)).or_default();
        assert!(found.position >= *seen, "{key} on {node}: {found:?} after {seen}");
        *seen = found.position;
        // Every value is its position.
        if let Some(text) = &found.value {
            assert_eq!(*text, found.position.to_string());
        }
        let heard = self.nodes[node].heard.newest_of(key);
        assert!(found.is_stale || found.position >= heard, "{key}: {found:?}, heard of {heard}");
        if let Some((newest, ends_ms)) = self.newest.get(&key)
            && found.position == *newest
        {
            assert!(found.value.is_none() || *ends_ms > self.now_ms, "{key}: {found:?} is over");
        }
    }
}

impl super::two_nodes::Heard {
    fn newest_of(&self, key: u32) -> u64 {
        Witness::newest(self, &key)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nobody_is_shown_what_is_older_than_what_they_have_seen_or_over(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for (node, key, step) in steps {
                world.take(node, key, step).await;
            }
        });
    }
}
