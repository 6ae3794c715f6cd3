//! A node that runs, stops, is killed and starts again on a log that fails.

use super::faulty::{FaultyLog, Mode};
use super::*;

/// A data directory that runs now and then, and the log it writes to.
pub(super) struct Node {
    log_dir: TempDir,
    dir: TempDir,
    pub(super) log: Arc<FaultyLog>,
    pub(super) spool: Option<Arc<Spool>>,
    recorder: Option<Arc<ClickRecorder>>,
    ack: ClicksAck,
    spool_bytes_max: u64,
    next_marker: usize,
    pub(super) acknowledged: Arc<Mutex<Vec<usize>>>,
}

/// Short, so that faults are met often; what comes out does not depend on it.
const BOUNDS: Bounds = Bounds {
    spool_after: Duration::from_millis(40),
    refuse_after: Duration::from_millis(200),
    attempt: Duration::from_millis(100),
};

/// The first marker of the visits to a cloned node.
const OF_THE_CLONE: usize = 1_000_000;

async fn log_in(dir: &std::path::Path) -> EmbeddedLog {
    EmbeddedLog::open(&dir.join("log.db"), OpenOptions::default()).await.unwrap()
}

impl Node {
    pub(super) async fn new(ack: ClicksAck, spool_bytes_max: u64) -> Self {
        let (log_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = FaultyLog::new(log_in(log_dir.path()).await);
        let mut node = Self {
            log_dir,
            dir,
            log,
            spool: None,
            recorder: None,
            ack,
            spool_bytes_max,
            next_marker: 0,
            acknowledged: Arc::default(),
        };
        node.start().await;
        node
    }

    /// Another node whose data directory is a copy of this one's.
    pub(super) async fn cloned(&self) -> Self {
        let mut node = Self::new(self.ack, self.spool_bytes_max).await;
        node.stop().await;
        (node.dir, node.log) = (self.copied(), Arc::clone(&self.log));
        node.acknowledged = Arc::clone(&self.acknowledged);
        node.next_marker = OF_THE_CLONE;
        node.start().await;
        node
    }

    pub(super) async fn start(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let spool = Spool::open(&path("spool.db"), self.spool_bytes_max).await.unwrap();
        let spool = Arc::new(spool);
        let outlet = Outlet {
            log: Arc::<FaultyLog>::clone(&self.log),
            node: Arc::new(NodeId::open(&path("node-id")).unwrap()),
            spool: Some(Arc::clone(&spool)),
            bounds: BOUNDS,
        };
        let salts = VisitorSalts::open(&path("salts.json")).unwrap();
        let enricher = Arc::new(Enricher::new(Locator::open(None).unwrap(), salts, false));
        let recorder = ClickRecorder::start(&outlet, &enricher, &Clock::system(), self.ack);
        (self.spool, self.recorder) = (Some(spool), Some(Arc::new(recorder)));
    }

    /// SIGTERM.
    pub(super) async fn stop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.close().await;
        }
        self.spool = None;
    }

    /// `kill -9`: nothing is closed, and what is left are the files as they are.
    pub(super) async fn kill(&mut self) {
        let recorder = self.recorder.take().unwrap();
        for tasks in [&recorder.flushers, &recorder.deliverers] {
            let mut tasks = std::mem::take(&mut *tasks.lock().unwrap());
            tasks.shutdown().await;
        }
        self.dir = self.copied();
        self.spool = None;
    }

    /// The files of the data directory; of a spool, the write-ahead log last: it only grows.
    fn copied(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["node-id", "salts.json", "spool.db", "spool.db-wal"] {
            let _ = std::fs::copy(self.dir.path().join(name), copy.path().join(name));
        }
        copy
    }

    /// Visits that come at once, in the order of their markers; how many were acknowledged.
    pub(super) fn visits(&mut self, count: usize) -> impl Future<Output = usize> + use<> {
        let first = self.next_marker;
        self.next_marker += count;
        let recorder = Arc::clone(self.recorder.as_ref().unwrap());
        let acknowledged = Arc::clone(&self.acknowledged);
        async move {
            let visits = (first..first + count).map(|marker| {
                let (recorder, acknowledged) = (&recorder, &acknowledged);
                async move {
                    let is_safe = recorder.record(visit(&marker.to_string())).await.is_ok();
                    if is_safe {
                        acknowledged.lock().unwrap().push(marker);
                    }
                    usize::from(is_safe)
                }
            });
            join_all(visits).await.into_iter().sum()
        }
    }

    /// The log is replaced by an empty one.
    pub(super) async fn lose_the_log(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        self.log.replace(log_in(dir.path()).await);
        self.log_dir = dir;
    }

    /// The log is well and the spool delivered.
    pub(super) async fn settle(&mut self) {
        self.log.set(Mode::Well);
        if self.recorder.is_none() {
            self.start().await;
        }
        self.spool.as_ref().unwrap().emptied().await;
        self.stop().await;
    }

    /// The markers on the log, with the streams they are on.
    pub(super) async fn on_the_log(&self) -> Vec<(String, usize)> {
        let clicks = clicks_on(&*self.log.inner()).await;
        clicks.into_iter().map(|(stream, marker)| (stream, marker.parse().unwrap())).collect()
    }

    /// Every acknowledged click is on the log once, no other twice, and each lane kept its order.
    pub(super) async fn assert_exactly_once(&self) {
        let on_the_log = self.on_the_log().await;
        let mut times: HashMap<usize, usize> = HashMap::new();
        for (_, marker) in &on_the_log {
            *times.entry(*marker).or_default() += 1;
        }
        assert!(times.values().all(|times| *times == 1), "{on_the_log:?}");
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let lost: Vec<_> = acknowledged.iter().filter(|m| !times.contains_key(m)).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        for (lane, node) in [("/0", 0), ("/1", 0), ("/0", 1), ("/1", 1)] {
            let of_lane = on_the_log.iter().filter(|(stream, marker)| {
                stream.ends_with(lane)
                    && marker / OF_THE_CLONE == node
                    && acknowledged.contains(marker)
            });
            let of_lane: Vec<_> = of_lane.map(|(_, marker)| marker).collect();
            assert!(of_lane.is_sorted(), "lane {lane}: {of_lane:?}");
        }
    }
}
