//! Keys on a real log: what works, for how long, and on which node.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use hoplog_events::account::{ApiKeyId, ApiKeyRevoked, Scope};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion, ReadLimit};
use hoplog_events::position::{Sequence, Topic, Version};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::commands::Issuer;
use crate::config::Secret;

const CONFIGURED: &str = "a key from the settings, 32 characters or more";

fn t(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn issuer() -> Issuer {
    Issuer {
        owner: "admin".parse().unwrap(),
        admin: true,
        actor: "key:test".into(),
        correlation_id: "r1".into(),
        now: t(0),
    }
}

fn new_key(scopes: &[Scope]) -> NewKey {
    NewKey {
        owner: "ann".parse().unwrap(),
        name: "newsletter".parse().unwrap(),
        scopes: scopes.to_vec(),
        expires_at: None,
    }
}

struct World {
    _dir: TempDir,
    log: Arc<dyn EventLog>,
    ring: KeyRing,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(log);
    let ring = KeyRing::load(&log, Some(&Secret(CONFIGURED.into()))).await.unwrap();
    World { _dir: dir, log, ring }
}

impl World {
    async fn create(&self, new: NewKey) -> (ApiKeyId, ApiKey) {
        let id = ApiKeyId(Uuid::now_v7());
        let (key, _, position) = create_key(&self.log, &issuer(), id, new).await.unwrap();
        self.ring.catch_up(&self.log, position.sequence).await.unwrap();
        (id, key)
    }

    async fn revoke(&self, id: ApiKeyId) {
        let position = revoke_key(&self.log, &issuer(), id).await.unwrap();
        self.ring.catch_up(&self.log, position.sequence).await.unwrap();
    }

    /// What another node, or the next start, knows.
    async fn other_node(&self) -> KeyRing {
        KeyRing::load(&self.log, None).await.unwrap()
    }

    async fn events(&self) -> usize {
        let events = self.log.read_all(Topic::Accounts, Sequence::START, ReadLimit::default());
        events.await.unwrap().len()
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_for_its_owner() {
    let world = world().await;
    let (id, key) = world.create(new_key(&[Scope::LinksRead])).await;
    for ring in [&world.ring, &world.other_node().await] {
        let principal = ring.authenticate(key.reveal(), t(1)).unwrap();
        assert_eq!(&*principal.actor, format!("key:{id}"));
        assert_eq!(principal.only_owner(), "ann".parse().ok());
        for scope in Scope::ALL {
            assert_eq!(principal.can(scope), scope == Scope::LinksRead, "{scope:?}");
        }
    }
    let (_, key) = world.create(new_key(&[Scope::Admin])).await;
    let admin = world.ring.authenticate(key.reveal(), t(1)).unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| admin.can(scope)));
    assert_eq!(admin.requester(), Requester::Admin);
}

/// Whoever is limited while they are new gets no older, nor younger, by another key.
#[tokio::test]
async fn an_owner_is_as_old_as_the_first_key() {
    let world = world().await;
    let (first, _) = world.create(new_key(&[Scope::LinksWrite])).await;
    world.revoke(first).await;
    let (id, later) = (ApiKeyId(Uuid::now_v7()), Issuer { now: t(500), ..issuer() });
    let (key, _, position) =
        create_key(&world.log, &later, id, new_key(&[Scope::LinksWrite])).await.unwrap();
    world.ring.catch_up(&world.log, position.sequence).await.unwrap();
    for ring in [&world.ring, &world.other_node().await] {
        let age = |now| ring.authenticate(key.reveal(), now).unwrap().owner_age;
        assert_eq!([age(t(600)), age(t(-9))], [600, 0].map(Duration::from_secs));
    }
    assert_eq!(world.ring.authenticate(CONFIGURED, t(0)).unwrap().owner_age, Duration::MAX);
}

#[tokio::test]
async fn the_key_of_the_settings_works_as_it_is_written_only() {
    let world = world().await;
    let admin = world.ring.authenticate(CONFIGURED, t(0)).unwrap();
    assert!(admin.can(Scope::Admin));
    for wrong in ["", &CONFIGURED[1..], &CONFIGURED.to_uppercase()] {
        assert_eq!(world.ring.authenticate(wrong, t(0)), Err(AuthError), "{wrong}");
    }
    assert_eq!(world.other_node().await.authenticate(CONFIGURED, t(0)), Err(AuthError));
}

#[tokio::test]
async fn a_key_nobody_made_does_not_work() {
    let world = world().await;
    world.create(new_key(&[Scope::Admin])).await;
    let stranger = ApiKey::generate();
    assert_eq!(world.ring.authenticate(stranger.reveal(), t(0)), Err(AuthError));
}

#[tokio::test]
async fn a_key_works_until_its_instant() {
    let world = world().await;
    let (_, key) =
        world.create(NewKey { expires_at: Some(t(10)), ..new_key(&[Scope::LinksRead]) }).await;
    let just_before = t(10) - TimeDelta::microseconds(1);
    assert!(world.ring.authenticate(key.reveal(), just_before).is_ok());
    assert_eq!(world.ring.authenticate(key.reveal(), t(10)), Err(AuthError));
    let past = NewKey { expires_at: Some(t(0)), ..new_key(&[Scope::LinksRead]) };
    let refused = create_key(&world.log, &issuer(), ApiKeyId(Uuid::now_v7()), past).await;
    assert!(matches!(refused, Err(KeyError::ExpiryPassed)), "{refused:?}");
}

/// Nobody follows the log here: what was answered is in force all the same.
#[tokio::test]
async fn a_key_works_no_more_as_soon_as_its_revocation_is_answered() {
    let world = world().await;
    let (id, key) = world.create(new_key(&[Scope::LinksRead])).await;
    let (_, other) = world.create(new_key(&[Scope::LinksRead])).await;
    world.revoke(id).await;
    for ring in [&world.ring, &world.other_node().await] {
        assert_eq!(ring.authenticate(key.reveal(), t(1)), Err(AuthError));
        assert!(ring.authenticate(other.reveal(), t(1)).is_ok());
        assert_eq!(ring.get(id).unwrap().revoked_at, Some(t(0)));
        assert_eq!(ring.list().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_revoked_once_however_often_it_is_asked_at_once() {
    let world = world().await;
    let (id, _) = world.create(new_key(&[Scope::LinksRead])).await;
    let issuer = issuer();
    let revocations = join_all((0..3).map(|_| revoke_key(&world.log, &issuer, id))).await;
    let positions: Vec<_> = revocations.into_iter().map(Result::unwrap).collect();
    assert!(positions.iter().all(|position| *position == positions[0]));
    assert_eq!(world.events().await, 2);
}

#[tokio::test]
async fn a_key_that_is_not_there_is_not_revoked() {
    let world = world().await;
    let refused = revoke_key(&world.log, &issuer(), ApiKeyId(Uuid::now_v7())).await;
    assert!(matches!(refused, Err(KeyError::NotFound)), "{refused:?}");
    assert_eq!(world.events().await, 0);
}

#[tokio::test]
async fn a_key_is_made_once_per_id() {
    let world = world().await;
    let (id, key) = world.create(new_key(&[Scope::LinksRead])).await;
    let again = create_key(&world.log, &issuer(), id, new_key(&[Scope::Admin])).await;
    assert!(matches!(again, Err(KeyError::AlreadyCreated)), "{again:?}");
    assert!(!world.ring.authenticate(key.reveal(), t(1)).unwrap().can(Scope::Admin));
}

/// The follower and a command may both bring the same events: a revocation is not undone by a
/// creation that comes a second time.
#[tokio::test]
async fn events_that_come_twice_change_nothing() {
    let world = world().await;
    let (id, key) = world.create(new_key(&[Scope::LinksRead])).await;
    let follower = world.other_node().await;
    world.revoke(id).await;
    let limit = ReadLimit::default();
    let all = world.log.read_all(Topic::Accounts, Sequence::START, limit).await.unwrap();
    follower.catch_up(&world.log, all[1].position.sequence).await.unwrap();
    follower.apply(&all[..1]);
    assert_eq!(follower.authenticate(key.reveal(), t(1)), Err(AuthError));
}

/// What can't be read may be the revocation: the key is not trusted, others are.
#[tokio::test]
async fn a_key_with_an_event_that_cant_be_read_works_no_more() {
    let world = world().await;
    let (id, key) = world.create(new_key(&[Scope::LinksRead])).await;
    let (_, other) = world.create(new_key(&[Scope::LinksRead])).await;
    let (stream, command_id) = (id.stream(), CommandId(Uuid::now_v7()));
    let (actor, command_hash, correlation_id) = ("key:test".into(), None, None);
    let metadata = Metadata { actor, command_id, command_hash, correlation_id };
    let revoked = ApiKeyRevoked { id }.into();
    let event = NewEvent::write(&stream, &revoked, Uuid::now_v7(), t(0), t(0), &metadata).unwrap();
    let body = String::from_utf8(event.body.to_vec()).unwrap();
    let broken = NewEvent { body: body.replace("\"id\":", "\"ident\":").into(), ..event };
    let expected = ExpectedVersion::Exact(Version(1));
    let events = vec![broken];
    let append = Append { stream, expected, command_id, events };
    let position = world.log.append(append).await.unwrap().position;
    world.ring.catch_up(&world.log, position.sequence).await.unwrap();
    assert_eq!(world.ring.authenticate(key.reveal(), t(1)), Err(AuthError));
    assert!(world.ring.authenticate(other.reveal(), t(1)).is_ok());
}

/// What is revoked on a log that was put back is revoked, also where the ring has seen more of the
/// log before it.
#[tokio::test]
async fn keys_of_a_log_that_was_put_back_are_read_anew() {
    let (before, after) = (world().await, world().await);
    let (_, lost) = before.create(new_key(&[Scope::Admin])).await;
    before.create(new_key(&[Scope::Admin])).await;
    before.create(new_key(&[Scope::Admin])).await;
    let (id, revoked) = after.create(new_key(&[Scope::Admin])).await;
    let position = revoke_key(&after.log, &issuer(), id).await.unwrap();
    before.ring.catch_up(&after.log, position.sequence).await.unwrap();
    assert_eq!(before.ring.list().len(), 1);
    for key in [lost, revoked] {
        assert_eq!(before.ring.authenticate(key.reveal(), t(1)), Err(AuthError));
    }
}
