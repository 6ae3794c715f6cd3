//! Whatever comes in whatever order: nobody is shown a value that is older than one that they have
//! seen on that node, nor one that is over.
//!
//! A witness that hears of changes hides mistakes of what it watches over. So there are worlds without.
//! One of the three fails if a fill may overwrite what is newer, if what is told during a load is not
//! remembered, if everything in Redis is believed, or if a value's own end is not looked at.

use futures::future::{BoxFuture, FutureExt};
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
    /// There is no value any more, in both levels.
    Delete,
    /// It is written to Redis by the node that knows.
    Write,
    /// A slow writer writes what was true so many changes ago.
    LateWrite(usize),
    /// A node hears of all changes so far.
    Hear,
    /// Somebody begins to load, and is held up.
    BeginLoad,
    /// Whoever was held up goes on with what they had found.
    EndLoads,
    Read,
    /// Only what is at hand, while loads are held up.
    Peek,
    ReadMany,
    Evict,
    Gap,
    Flush,
    /// A node is cut off from Redis, or not any more.
    CutOff(bool),
    /// Time passes.
    Wait(u64),
    SourceAway(bool),
}

fn steps() -> impl Strategy<Value = Vec<(usize, u32, Step)>> {
    let step = prop_oneof![
        6 => prop_oneof![Just(u64::MAX), 1_u64..2_000].prop_map(|lasts_ms| Step::Change { lasts_ms }),
        2 => Just(Step::Delete),
        3 => Just(Step::Write),
        3 => (1..4_usize).prop_map(Step::LateWrite),
        6 => Just(Step::Hear),
        4 => Just(Step::BeginLoad),
        4 => Just(Step::EndLoads),
        12 => Just(Step::Read),
        6 => Just(Step::Peek),
        4 => Just(Step::ReadMany),
        3 => Just(Step::Evict),
        2 => Just(Step::Gap),
        2 => Just(Step::Flush),
        1 => any::<bool>().prop_map(Step::CutOff),
        3 => (1_u64..1_500).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::SourceAway),
    ];
    prop::collection::vec((0..2_usize, 0..KEYS, step), 30..90)
}

/// What a world is like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The nodes hear of changes, and everything happens.
    Watched,
    /// They hear of nothing: what they have at hand is all that they know, and nothing of that is lost.
    Deaf,
    /// The same without Redis; what they have at hand may be lost.
    Alone,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Watched, Self::Deaf, Self::Alone];

    /// Whether something can happen there.
    fn has(self, step: &Step) -> bool {
        match self {
            Self::Watched => true,
            Self::Deaf => !matches!(step, Step::Hear | Step::Evict | Step::Flush),
            Self::Alone => !matches!(
                step,
                Step::Hear | Step::Flush | Step::CutOff(_) | Step::Write | Step::LateWrite(_)
            ),
        }
    }
}

struct World {
    redis: RedisServer,
    nodes: [Node; 2],
    source: Source,
    /// Every value there was of each key, the newest last.
    values: HashMap<u32, Vec<Loaded<String>>>,
    position: u64,
    now_ms: u64,
    /// The newest position that was shown on a node.
    seen: HashMap<(usize, u32), u64>,
    held_up: Vec<HeldUp>,
}

/// A load that ends when it is told what it has found.
struct HeldUp {
    of: (usize, u32),
    go: oneshot::Sender<Loaded<String>>,
    found: Loaded<String>,
}

impl World {
    async fn new(kind: Kind) -> Self {
        let redis = RedisServer::start();
        let change = |options: &mut CacheOptions| {
            options.ttl = Duration::from_secs(1);
            options.absent_ttl = Duration::from_millis(300);
            options.fail_safe = Duration::from_secs(3);
            options.retry_after = Duration::from_millis(100);
        };
        let node = || Node::with_deadline(&redis, Duration::from_millis(50), change);
        let nodes = [node().await, node().await];
        for node in &nodes {
            node.heard.reaches(0);
            node.heard.is_deaf.store(kind != Kind::Watched, Ordering::Relaxed);
            node.proxy.swallow(kind == Kind::Alone);
        }
        Self {
            redis,
            nodes,
            source: Source::default(),
            values: HashMap::new(),
            position: 0,
            now_ms: 0,
            seen: HashMap::new(),
            held_up: Vec::new(),
        }
    }

    /// As of now.
    fn current(&self, key: u32) -> Loaded<String> {
        self.before(key, 0).map_or(Loaded::absent(0), |value| value.as_of(self.position))
    }

    /// As of so many changes ago.
    fn before(&self, key: u32, changes: usize) -> Option<Loaded<String>> {
        let values = self.values.get(&key)?;
        Some(values.get(values.len().checked_sub(changes + 1)?)?.clone())
    }

    /// What the source says, and the node hears of, as it may not have read so far itself.
    fn load(
        &self,
        node: usize,
        key: u32,
        held_up: Option<oneshot::Receiver<Loaded<String>>>,
    ) -> impl Fn() -> BoxFuture<'static, Result<Loaded<String>, SourceAway>> + Send + Sync + 'static
    {
        let (source, heard) = (self.source.load(key), Arc::clone(&self.nodes[node].heard));
        let held_up = Mutex::new(held_up);
        move || {
            let (held_up, now) = (held_up.lock().unwrap().take(), source());
            let heard = Arc::clone(&heard);
            async move {
                let loaded = match held_up {
                    Some(held_up) => held_up.await.map_err(|_| SourceAway("gone".into()))?,
                    None => now.await?,
                };
                heard.hear(key, loaded.position);
                Ok(loaded)
            }
            .boxed()
        }
    }

    async fn take(&mut self, node: usize, key: u32, step: Step) {
        match step {
            Step::Change { lasts_ms } => {
                self.position += 1;
                let ends_ms = self.now_ms.saturating_add(lasts_ms);
                let changed = value(&self.position.to_string(), self.position).until(ends_ms);
                self.values.entry(key).or_default().push(changed);
                self.source_says_so();
                self.hear(node, key);
                self.nodes[node].cache.remember(&key, self.current(key), self.now_ms);
            }
            Step::Delete => {
                self.position += 1;
                self.values.entry(key).or_default().push(Loaded::absent(self.position));
                self.source_says_so();
                self.hear(node, key);
                let _ = self.nodes[node].cache.delete(&key, self.position, self.now_ms).await;
            }
            Step::Write => {
                let value = (key, self.current(key));
                let _ = self.nodes[node].cache.share_many(&[value], self.now_ms).await;
            }
            Step::LateWrite(changes) => {
                if let Some(old) = self.before(key, changes) {
                    let _ = self.nodes[node].cache.share_many(&[(key, old)], self.now_ms).await;
                }
            }
            Step::Hear => {
                for key in 0..KEYS {
                    self.hear(node, key);
                }
                self.nodes[node].heard.reaches(self.position);
            }
            Step::BeginLoad => self.begin_load(node, key).await,
            Step::EndLoads => {
                self.end_loads((node, key));
                tokio::task::yield_now().await;
            }
            Step::Read => self.read(node, key).await,
            Step::Peek => self.peek(node, key),
            Step::ReadMany => {
                let keys: Vec<u32> = (0..KEYS).collect();
                let heard: Vec<u64> = keys.iter().map(|key| self.heard(node, *key)).collect();
                let found = self.nodes[node].cache.get_many(&keys, self.now_ms).await;
                for ((key, found), heard) in keys.into_iter().zip(found).zip(heard) {
                    if let Some(found) = found {
                        self.check(node, key, &found, heard);
                    }
                }
            }
            Step::Evict => evict(&self.nodes[node].cache),
            Step::Gap => self.nodes[node].cache.doubt_everything(),
            Step::Flush => self.redis.flush(),
            Step::CutOff(is_cut_off) => self.nodes[node].proxy.swallow(is_cut_off),
            Step::Wait(ms) => self.now_ms += ms,
            Step::SourceAway(is_away) => self.source.goes_away(is_away),
        }
    }

    /// The source says what is true now.
    fn source_says_so(&self) {
        for key in 0..KEYS {
            self.source.says(key, self.current(key));
        }
    }

    fn hear(&self, node: usize, key: u32) {
        if let Some(newest) = self.before(key, 0) {
            self.nodes[node].heard.hear(key, newest.position);
            self.nodes[node].cache.invalidate(&key, newest.position);
        }
    }

    /// A reader finds what is true now, and brings it when it is long over.
    async fn begin_load(&mut self, node: usize, key: u32) {
        let (go, wait) = oneshot::channel();
        let load = self.load(node, key, Some(wait));
        let (cache, now_ms) = (self.nodes[node].cache.clone(), self.now_ms);
        let mut reader = Box::pin(async move { drop(cache.get_or_load(&key, now_ms, load).await) });
        // It begins now, not when somebody has time for it.
        if futures::poll!(&mut reader).is_pending() {
            tokio::spawn(reader);
        }
        self.held_up.push(HeldUp { of: (node, key), go, found: self.current(key) });
    }

    fn end_loads(&mut self, of: (usize, u32)) {
        for held_up in self.held_up.extract_if(.., |held_up| held_up.of == of) {
            let _ = held_up.go.send(held_up.found);
        }
    }

    /// What a node has heard of: before it is asked, as a refresh in the background may hear of more.
    fn heard(&self, node: usize, key: u32) -> u64 {
        Witness::newest(&*self.nodes[node].heard, &key)
    }

    fn peek(&mut self, node: usize, key: u32) {
        let heard = self.heard(node, key);
        if let AtHand::Value(text) = self.nodes[node].cache.get(&key, self.now_ms) {
            let position = text.parse().unwrap();
            let found = Found { value: Some(text), position, is_stale: false };
            self.check(node, key, &found, heard);
        }
    }

    async fn read(&mut self, node: usize, key: u32) {
        // Nobody is held up for good.
        self.end_loads((node, key));
        self.peek(node, key);
        let (load, heard) = (self.load(node, key, None), self.heard(node, key));
        let answer = self.nodes[node].cache.get_or_load(&key, self.now_ms, load).await;
        if let Ok(found) = answer {
            self.check(node, key, &found, heard);
        }
    }

    fn check(&mut self, node: usize, key: u32, found: &Found<String>, heard: u64) {
        let seen = self.seen.entry((node, key)).or_default();
        assert!(found.position >= *seen, "{key} on {node}: {found:?} after {seen}");
        *seen = found.position;
        // Every value is its position.
        if let Some(text) = &found.value {
            assert_eq!(*text, found.position.to_string());
        }
        assert!(found.is_stale || found.position >= heard, "{key}: {found:?}, heard of {heard}");
        let of_position = |value: &&Loaded<String>| value.position == found.position;
        let mut values = self.values.get(&key).into_iter().flatten();
        if let Some(shown) = values.rfind(of_position) {
            let is_over = shown.ends_ms <= self.now_ms;
            assert!(found.value.is_none() || !is_over, "{key}: {found:?} is over");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn nobody_is_shown_what_is_older_than_what_they_have_seen_or_over(
        kind in prop::sample::select(&Kind::ALL),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new(kind).await;
            for (node, key, step) in steps.into_iter().filter(|(.., step)| kind.has(step)) {
                // One key where less can happen: so that much happens to it.
                let (node, key) = match kind {
                    Kind::Watched => (node, key),
                    Kind::Deaf => (node, 0),
                    Kind::Alone => (0, 0),
                };
                world.take(node, key, step).await;
            }
        });
    }
}
