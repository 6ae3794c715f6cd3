//! Erasures that are broken off between two of their steps.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hoplog_events::catalogue::Event;
use hoplog_events::click::{ClickEvent, ClicksRecorded, VisitorHash};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent, RecordedEvent};
use hoplog_events::log::{
    Append, AppendError, Appended, EventLog, ExpectedVersion, ReadError, ReadLimit, Rewrite,
    RewriteError, Subscription,
};
use hoplog_events::position::{LogId, Sequence, StreamId};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::*;
use crate::commands::code::CodeMaker;
use crate::commands::code_secret::CodeSecret;
use crate::commands::create_link::WantedLink;
use crate::commands::worker::WorkerId;
use crate::commands::{Commands, IdempotencyKey};
use crate::config::{Codes, RawSettings};
use crate::http::problem::Problem;

const HIS: Visitor = Visitor::Hash(VisitorHash(0xaa));

mod left;

/// A log on which no erasure of clicks can be told, and what is appended to links is not answered.
#[derive(Debug)]
struct Mute(Arc<dyn EventLog>);

#[async_trait]
impl EventLog for Mute {
    fn id(&self) -> LogId {
        self.0.id()
    }

    fn can_rewrite(&self) -> bool {
        self.0.can_rewrite()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if append.stream.key().starts_with("erasures/") {
            return Err(AppendError::Unavailable("nothing can be told".to_owned()));
        }
        let is_of_a_link = append.stream.topic() == Topic::Links;
        let appended = self.0.append(append).await?;
        if is_of_a_link {
            return Err(AppendError::Unavailable("nothing is answered".to_owned()));
        }
        Ok(appended)
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        self.0.rewrite(rewrites).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read(stream, after).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.0.last(stream).await
    }

    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_all(topic, after, limit).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        self.0.subscribe(topic, after, limit).await
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        self.0.head(topic).await
    }
}

/// His click, the first of an event, without him.
fn record(event: Uuid) -> ErasedClickRecord {
    ErasedClickRecord {
        event,
        place: 0,
        domain: "default".parse().unwrap(),
        code: "a".parse().unwrap(),
        at: "2026-03-01T00:00:00Z".parse().unwrap(),
        visitor: surrogate(VisitorHash(0xaa), event, 0),
        user_agent: None,
    }
}

struct World {
    app: App,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = Some(dir.path().join("data").to_str().unwrap().to_owned());
        let settings = RawSettings { data_dir, ..RawSettings::default() }.resolve().unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let app = App::open(&settings, metrics, &Handle::current()).await.unwrap();
        app.read_models.run();
        Self { app, _dir: dir }
    }

    async fn commands(&self, log: Arc<dyn EventLog>) -> Commands {
        let secret = CodeSecret::of(&self.app.log, self.app.clock.now()).await.unwrap();
        Commands::new(log, CodeMaker::new(Codes::Random, WorkerId::ONLY), secret, Vec::new())
    }

    async fn mute(&mut self) {
        self.app.commands = self.commands(Arc::new(Mute(Arc::clone(&self.app.log)))).await;
    }

    async fn unmute(&mut self) {
        self.app.commands = self.commands(Arc::clone(&self.app.log)).await;
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            owner: "ann".parse().unwrap(),
            admin: true,
            actor: "key:test".into(),
            correlation_id: "the request".into(),
            now: self.app.clock.now(),
        }
    }

    /// Batches of clicks, each with one of his.
    async fn clicks(&self, batches: usize) {
        for _ in 0..batches {
            let click = |visitor: &str| {
                let at = "2026-03-01T00:00:00Z";
                json!({ "domain": "default", "code": "a", "at": at, "visitor": visitor })
            };
            let clicks = [click("00000000000000aa"), click("00000000000000bb")];
            let event: ClicksRecorded =
                serde_json::from_value(json!({ "clicks": clicks })).unwrap();
            let (stream, command_id) =
                (StreamId::new(Topic::Clicks, "0"), CommandId(Uuid::new_v4()));
            let (command_hash, correlation_id) = (None, None);
            let metadata =
                Metadata { actor: "test".into(), command_id, command_hash, correlation_id };
            let (now, id) = (self.app.clock.now(), Uuid::now_v7());
            let event = NewEvent::write(&stream, &event.into(), id, now, now, &metadata).unwrap();
            let (expected, events) = (ExpectedVersion::Any, vec![event]);
            self.app.log.append(Append { stream, expected, command_id, events }).await.unwrap();
        }
    }

    async fn link(&self, alias: &str, idempotency: Option<&IdempotencyKey>) -> LinkKey {
        let wanted = WantedLink {
            domain: hoplog_events::link::Domain::service(),
            alias: Some(alias.parse().unwrap()),
            url: "https://telltale.example/".parse().unwrap(),
            expires_at: None,
            redirect: hoplog_events::link::RedirectStatus::Found,
            title: None,
            tags: hoplog_events::link::Tags::default(),
            note: None,
            external_id: None,
            extras: hoplog_events::link::Extras::default(),
        };
        let made = self.app.commands.create_link(&self.issuer(), None, idempotency, wanted).await;
        made.unwrap().link.key
    }

    async fn events(&self, topic: Topic) -> Vec<RecordedEvent> {
        self.app.log.read_all(topic, Sequence::START, ReadLimit::default()).await.unwrap()
    }

    /// The clicks that are told of as erased, and by whom.
    async fn told(&self) -> Vec<ErasedClickRecord> {
        let mut told = Vec::new();
        for event in self.events(Topic::Clicks).await {
            let envelope = event.decode().unwrap().unwrap();
            if let Event::Click(ClickEvent::Erased(erased)) = envelope.event {
                assert_eq!(&*envelope.metadata.actor, "key:test");
                assert_eq!(envelope.metadata.correlation_id, None, "it ties his clicks together");
                told.extend(erased.clicks);
            }
        }
        told
    }

    /// Whether a link has something of what people wrote in it.
    async fn link_has_some(&self, key: &LinkKey) -> bool {
        let events = self.app.log.read(&key.stream(), Version::NONE).await.unwrap();
        events.iter().any(|event| String::from_utf8_lossy(&event.body).contains("telltale"))
    }

    async fn log_has(&self, text: &str) -> bool {
        let mut events = self.events(Topic::Clicks).await;
        events.extend(self.events(Topic::Links).await);
        let has = |body: &[u8]| body.windows(text.len()).any(|part| part == text.as_bytes());
        events.iter().any(|event| has(&event.body))
    }

    /// What was begun by anybody, however young it is.
    async fn finish(&self) -> Result<(), ErasureError> {
        self.app.finish_erasures(Duration::ZERO).await
    }

    async fn begun(&self) -> bool {
        self.app.erasures.next(Uuid::nil()).await.unwrap().is_some()
    }
}

/// It is erased, nobody is told, and tables are built that have no trace of him any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rewritten_and_not_told_is_told_after_a_rebuild() {
    for ask_again in [false, true] {
        let mut world = World::new().await;
        world.clicks(7).await;
        world.mute().await;
        let failed = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap_err();
        assert!(matches!(failed, ErasureError::Log(EraseError::Unavailable(_))), "{failed}");
        assert!(!world.log_has("00000000000000aa").await && world.told().await.is_empty());
        world.app.read_models.rebuild(clicks::NAME).await.unwrap();
        assert!(world.finish().await.is_err(), "still nothing can be told");
        world.unmute().await;
        if ask_again {
            let erasure = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap();
            assert_eq!((erasure.events, erasure.clicks), (0, 0));
            assert_eq!(erasure.position, world.app.log.head(Topic::Clicks).await.unwrap());
        } else {
            world.finish().await.unwrap();
        }
        let told = world.told().await;
        assert_eq!(told.len(), 7);
        assert!(!world.begun().await);
        // Once.
        world.finish().await.unwrap();
        assert_eq!(world.told().await, told);
    }
}

/// A crash behind the answer of the log, before the note went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_not_told_twice() {
    let world = World::new().await;
    world.clicks(1).await;
    let recorded = world.events(Topic::Clicks).await.remove(0);
    let id = recorded.decode().unwrap().unwrap().id;
    let record = record(id);
    let clicks = [AnonymousClick { sequence: recorded.position.sequence, record }];
    let asked = Asked { actor: "key:test".into(), now: world.app.clock.now() };
    let begun = world.app.begin_erasure(&Plan::clicks(&asked, &clicks)).await.unwrap();
    world.app.commands.rewrite_clicks(&clicks).await.unwrap();
    world.app.commands.tell_erased(&asked, begun, &clicks).await.unwrap();
    world.finish().await.unwrap();
    assert_eq!(world.told().await.len(), 1);
    assert!(!world.begun().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_ended_is_erased_by_whoever_finds_that_it_was_begun() {
    let world = World::new().await;
    let key = world.link("a", None).await;
    let other = world.link("b", None).await;
    world.app.commands.end_link(&world.issuer(), None, &key, None).await.unwrap();
    for begun in [&key, &other] {
        world.app.begin_erasure(&Plan::Link(begun.clone())).await.unwrap();
    }
    world.finish().await.unwrap();
    assert!(!world.link_has_some(&key).await);
    assert!(world.link_has_some(&other).await, "it has not ended: whoever began it was refused");
    assert!(!world.begun().await);
}

/// The row is of a click that is not on this log: asking again is of no use, a rebuild is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_event_are_refused_with_what_helps() {
    let world = World::new().await;
    world.clicks(2).await;
    let before = world.events(Topic::Clicks).await;
    let id = before[0].decode().unwrap().unwrap().id;
    let click = |event| AnonymousClick { sequence: Sequence(2), record: record(event) };
    let refused = world.app.commands.rewrite_clicks(&[click(id)]).await.unwrap_err();
    assert!(matches!(refused, EraseError::Moved), "{refused}");
    assert_eq!(world.events(Topic::Clicks).await, before, "nothing was changed");
    let problem = Problem::from(ErasureError::Log(refused));
    assert_eq!(problem.status(), axum::http::StatusCode::CONFLICT);
    let told = serde_json::to_value(&problem).unwrap();
    assert_eq!(told["code"], "rebuild_needed");
    assert!(told["detail"].as_str().unwrap().contains("rebuild clicks"), "{told}");
    // What was begun of it stays, as somebody may have to be told of a part of it, and is in nobody's way.
    let asked = Asked { actor: "key:test".into(), now: world.app.clock.now() };
    world.app.begin_erasure(&Plan::clicks(&asked, &[click(id)])).await.unwrap();
    world.finish().await.unwrap();
    assert!(world.begun().await && world.told().await.is_empty());
    let erasure = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap();
    assert_eq!((erasure.events, erasure.clicks), (2, 2));
}

/// A request that chose its code leaves a note on another stream, which nobody finds from the link: so
/// nothing may be in it that has to be erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trace_of_the_request_is_left_on_the_stream_of_another_code() {
    let world = World::new().await;
    let idempotency =
        IdempotencyKey { key: "order 66".to_owned(), request: "what was asked for".to_owned() };
    let key = world.link("chosen", Some(&idempotency)).await;
    let hash = world.issuer().origin(Some(&idempotency)).command_hash.unwrap();
    assert!(world.log_has(&hash).await && world.log_has("the request").await);
    let eraser = Issuer { correlation_id: "another".into(), ..world.issuer() };
    world.app.erase_link(&eraser, None, &key, None).await.unwrap();
    assert_eq!(world.events(Topic::Links).await.len(), 4, "a note, and three of the link");
    assert!(!world.log_has(&hash).await, "the hash of the request");
    assert!(!world.log_has("the request").await, "the id of the request");
}
