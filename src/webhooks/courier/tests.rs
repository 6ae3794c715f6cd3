//! Deliveries over days: the time is set, everything else is real.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkKey, LinkTitled};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::Sequence;
use hoplog_events::selector::TypeSelector;
use hoplog_events::webhook::{DisabledReason, WebhookSettings};
use hoplog_projections::deliveries::{Attempt, Deliveries, Outcome};
use hoplog_projections::lease::Part;
use hoplog_projections::partition::Partitions;
use hoplog_projections::{Database, ReadModels};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::accounts::KeyRing;
use crate::clock::Clock;
use crate::domain::link::Requester;
use crate::domain::webhook::{CreateWebhook, EditWebhook, Webhook, WebhookCommand, WebhookRequest};
use crate::execute::Origin;
use crate::webhooks::targets::Targets;
use crate::webhooks::{manage, secret};

/// How long something may take that needs no time.
const PATIENCE: Duration = Duration::from_secs(30);

fn begin() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A receiver that answers with a status, and how often it was asked.
#[derive(Debug, Default)]
struct Receiver {
    status: AtomicU16,
    asked: AtomicUsize,
}

async fn receive(State(receiver): State<Arc<Receiver>>) -> Result<StatusCode, Infallible> {
    receiver.asked.fetch_add(1, Ordering::SeqCst);
    Ok(StatusCode::from_u16(receiver.status.load(Ordering::SeqCst)).unwrap())
}

impl Receiver {
    async fn start(status: u16) -> (Arc<Self>, String) {
        let receiver = Arc::new(Self { status: status.into(), ..Self::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }
}

/// Everything that delivers, and a log.
struct World {
    webhooks: Arc<Webhooks>,
    clock: Clock,
    log: Arc<dyn EventLog>,
    shutdown: CancellationToken,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await;
        let log: Arc<dyn EventLog> = Arc::new(log.unwrap());
        let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
        let deliveries = Deliveries::open(database.clone(), Part::Alone).await.unwrap();
        let models = ReadModels::open(database, Arc::clone(&log), Part::Alone, Partitions::ONE);
        let directory = models.await.unwrap().link_directory();
        let keys = Arc::new(KeyRing::load(&log, None).await.unwrap());
        let (clock, targets) = (Clock::fixed(begin()), Targets::parse("private").unwrap());
        let heads = manage::heads(log.as_ref()).await.unwrap();
        let webhooks = Webhooks::new(&log, heads, &keys, deliveries, directory, targets, &clock);
        let (webhooks, shutdown) = (Arc::new(webhooks), CancellationToken::new());
        tokio::spawn(run(Arc::clone(&webhooks), shutdown.clone()));
        Self { webhooks, clock, log, shutdown, _dir: dir }
    }

    async fn subscribe(&self, url: &str) -> WebhookId {
        let id = WebhookId(Uuid::now_v7());
        let topics = [Topic::Links];
        let settings = WebhookSettings {
            url: url.parse().unwrap(),
            types: vec![TypeSelector::of(&topics, "hoplog.link.titled").unwrap()],
            link: None,
            tag: None,
            description: None,
        };
        let start = manage::heads(self.log.as_ref()).await.unwrap();
        let create = CreateWebhook { id, owner: None, settings, secret: secret::generate(), start };
        let sequence = self.execute(id, WebhookCommand::Create(Box::new(create))).await;
        self.webhooks.keys.catch_up(&self.log, sequence).await.unwrap();
        id
    }

    /// As another node does: this one is not told.
    async fn execute(&self, id: WebhookId, command: WebhookCommand) -> Sequence {
        let (requester, now) = (Requester::Admin, self.clock.now());
        let request = WebhookRequest { requester, now, plain_is_allowed: true, command };
        let done = manage::execute(&self.log, id, &request, &Origin::once("test", None)).await;
        done.unwrap().position.sequence
    }

    /// Something happens to a link.
    async fn event(&self) {
        let stream = "default/a".parse::<LinkKey>().unwrap().stream();
        let command_id = CommandId(Uuid::now_v7());
        let (actor, command_hash, correlation_id) = ("test".into(), None, None);
        let metadata = Metadata { actor, command_id, command_hash, correlation_id };
        let (event, now) = (LinkTitled { title: None }.into(), begin());
        let event = NewEvent::write(&stream, &event, Uuid::now_v7(), now, now, &metadata).unwrap();
        let (expected, events) = (ExpectedVersion::Any, vec![event]);
        self.log.append(Append { stream, expected, command_id, events }).await.unwrap();
    }

    /// Waits until there were so many attempts; the newest first.
    async fn attempts(&self, id: WebhookId, count: usize) -> Vec<Attempt> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.webhooks.deliveries.attempts(id, None, 500).await.unwrap();
            if page.attempts.len() >= count {
                assert_eq!(page.attempts.len(), count, "{:?}", page.attempts);
                return page.attempts;
            }
            assert!(Instant::now() < deadline, "{count}: {:?}", page.attempts);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn state(&self, id: WebhookId, wanted: impl Fn(&Webhook) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.webhooks.keys.webhook(id).is_some_and(|webhook| wanted(&webhook)) {
            assert!(Instant::now() < deadline, "{:?}", self.webhooks.keys.webhook(id));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Time passes until the next attempt is due, and a little more.
    fn pass_to(&self, next: &Attempt, more: TimeDelta) {
        self.clock.set(next.next_at.unwrap() + more);
    }
}

/// A message is given up behind its last attempt, a day and more after the first; its webhook goes
/// on, as nothing else was tried for so short a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_given_up_after_a_day_and_its_webhook_goes_on() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(500).await;
    let id = world.subscribe(&url).await;
    world.event().await;
    for attempt in 1..=10 {
        let attempts = world.attempts(id, attempt).await;
        assert_eq!(attempts[0].outcome, Outcome::Retrying, "{attempt}");
        world.pass_to(&attempts[0], TimeDelta::zero());
    }
    let attempts = world.attempts(id, 11).await;
    assert_eq!((attempts[0].outcome, attempts[0].next_at), (Outcome::Failed, None));
    let day = attempts[0].at - begin();
    assert!(day > TimeDelta::days(1) && day < TimeDelta::days(2), "{day}");
    assert!(attempts.iter().all(|attempt| attempt.message == attempts[0].message));
    assert_eq!(receiver.asked.load(Ordering::SeqCst), 11);
    world.state(id, |webhook| webhook.state == WebhookState::Active).await;
    // What comes later is sent, and one that was given up as well if somebody wants it.
    receiver.status.store(204, Ordering::SeqCst);
    world.clock.set(world.clock.now() + TimeDelta::seconds(1));
    world.event().await;
    assert_eq!(world.attempts(id, 12).await[0].outcome, Outcome::Delivered);
    let given_up = &attempts[0].message;
    world.clock.set(world.clock.now() + TimeDelta::seconds(1));
    assert!(world.webhooks.deliveries.retry(id, given_up, world.clock.now()).await.unwrap());
    let again = world.attempts(id, 13).await;
    let again = again.iter().find(|attempt| attempt.attempt == 12).unwrap();
    assert_eq!((&again.message, again.outcome), (given_up, Outcome::Delivered));
    world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_whose_receiver_takes_nothing_for_days_is_disabled() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(503).await;
    let id = world.subscribe(&url).await;
    world.event().await;
    for attempt in 1..=10 {
        let attempts = world.attempts(id, attempt).await;
        world.pass_to(&attempts[0], TimeDelta::hours(6));
    }
    assert_eq!(world.attempts(id, 11).await[0].outcome, Outcome::Failed);
    let reason = DisabledReason::Failures;
    world
        .state(id, |webhook| {
            matches!(webhook.state, WebhookState::Disabled { reason: found, .. } if found == reason)
        })
        .await;
    world.event().await;
    assert_eq!(receiver.asked.load(Ordering::SeqCst), 11, "nothing more is sent");
    world.shutdown.cancel();
}

/// An event is told as the webhook is when it happens, however late its node hears of what was changed before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_was_changed_to_elsewhere_counts_for_what_happens_then() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(204).await;
    let (other, other_url) = Receiver::start(204).await;
    let id = world.subscribe(&url).await;
    let edit = |url: Option<&str>, link: Option<Option<&str>>| {
        let start = world.webhooks.opened;
        let url = url.map(|url| url.parse().unwrap());
        let link = link.map(|link| link.map(|link| link.parse().unwrap()));
        let (types, tag, description) = (None, None, None);
        WebhookCommand::Edit(Box::new(EditWebhook { start, url, types, link, tag, description }))
    };
    let sequence = world.execute(id, edit(None, Some(Some("default/b")))).await;
    world.webhooks.keys.catch_up(&world.log, sequence).await.unwrap();
    world.execute(id, edit(Some(&other_url), Some(None))).await;
    world.event().await;
    assert_eq!(world.attempts(id, 1).await[0].outcome, Outcome::Delivered);
    assert_eq!(other.asked.load(Ordering::SeqCst), 1);
    world.execute(id, WebhookCommand::Disable(DisabledReason::Operator)).await;
    world.event().await;
    world.state(id, |webhook| webhook.state != WebhookState::Active).await;
    assert_eq!(receiver.asked.load(Ordering::SeqCst), 0);
    assert_eq!(other.asked.load(Ordering::SeqCst), 1);
    world.shutdown.cancel();
}
