//! The keys that work, the webhooks and the domains there are, in memory: a fold of the topic ACCOUNTS, kept up
//! to date by the log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::account::{AccountEvent, ApiKeyCreated, ApiKeyId, Scope};
use hoplog_events::catalogue::Event;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::OwnerId;
use hoplog_events::log::{EventLog, ReadError, ReadLimit, Seen};
use hoplog_events::position::{Sequence, Topic};
use hoplog_events::webhook::WebhookId;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::api_key::{hash_of, is_well_formed};
use super::domains::{DomainFold, LiveDomains};
use super::roster::Roster;
use super::{ADMIN_OWNER, Principal, Scopes};
use crate::clock::Clock;
use crate::config::Secret;
use crate::domain::webhook::Webhook;

/// How long to wait before a log that can't be read is tried again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// How long whoever waits for a key's end waits between two looks at the clock.
const LOOK_MAX: Duration = Duration::from_mins(1);

/// A key as it can be listed.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    /// The key's creation.
    pub created: ApiKeyCreated,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl KeyRecord {
    fn works(&self, now: DateTime<Utc>) -> bool {
        let expired = self.created.expires_at.is_some_and(|expires_at| expires_at <= now);
        !expired && self.revoked_at.is_none()
    }
}

/// A request's key does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API key is unknown, revoked or expired")]
pub struct AuthError;

#[derive(Debug, Default)]
struct Keys {
    /// The last event that is accounted for.
    last: Option<Seen>,
    by_hash: HashMap<[u8; 32], ApiKeyId>,
    by_id: HashMap<ApiKeyId, KeyRecord>,
    /// When each owner got a key for the first time, whatever became of that key.
    owners_since: HashMap<OwnerId, DateTime<Utc>>,
    webhooks: Roster,
    domains: DomainFold,
}

/// All keys.
#[derive(Debug)]
pub struct KeyRing {
    /// The key from the settings, which is on no log.
    configured: Option<[u8; 32]>,
    keys: RwLock<Keys>,
    domains: Arc<LiveDomains>,
    /// Told of every change.
    changes: watch::Sender<()>,
}

impl KeyRing {
    /// Reads every key there is.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn load(
        log: &Arc<dyn EventLog>,
        configured: Option<&Secret>,
    ) -> Result<Self, ReadError> {
        let configured = configured.map(|secret| hash_of(&secret.0));
        let (keys, domains) = (RwLock::default(), Arc::default());
        let ring = Self { configured, keys, domains, changes: watch::Sender::default() };
        while ring.read_on(log).await? {}
        Ok(ring)
    }

    /// Keeps up with the log, for as long as it is polled.
    pub async fn follow(&self, log: &Arc<dyn EventLog>) {
        loop {
            let Err(error) = self.follow_until_away(log).await;
            tracing::warn!(%error, "API keys can't be followed; trying again");
            tokio::time::sleep(FOLLOW_PAUSE).await;
            if matches!(error, ReadError::Rewound { .. })
                && let Err(error) = self.begin_again(log).await
            {
                tracing::warn!(%error, "the keys of a log that was put back can't be read");
            }
        }
    }

    /// The log was put back to an older copy: its keys, from the first on.
    async fn begin_again(&self, log: &Arc<dyn EventLog>) -> Result<(), ReadError> {
        let mut keys = Keys::default();
        loop {
            let events =
                log.read_all(Topic::Accounts, keys.applied(), ReadLimit::default()).await?;
            if events.is_empty() {
                break;
            }
            keys.take(&events);
        }
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *current = keys;
        self.domains.replace(&mut current.domains);
        drop(current);
        self.changes.send_replace(());
        Ok(())
    }

    async fn follow_until_away(&self, log: &Arc<dyn EventLog>) -> Result<Infallible, ReadError> {
        let limit = ReadLimit::default();
        let mut changes = log.subscribe(Topic::Accounts, self.applied(), limit).await?;
        self.confirm(log).await?;
        loop {
            self.apply(&changes.next().await?);
        }
    }

    /// Accounts for everything up to `sequence`, which is on the log: what was just made works,
    /// what was just revoked does not, whether or not [`KeyRing::follow`] has come so far.
    ///
    /// # Errors
    /// When the log can't be read; the keys follow it as soon as it can.
    pub async fn catch_up(
        &self,
        log: &Arc<dyn EventLog>,
        sequence: Sequence,
    ) -> Result<(), ReadError> {
        // What a log that was put back gives this place to is another event.
        if let Err(ReadError::Rewound { .. }) = self.confirm(log).await {
            self.begin_again(log).await?;
        }
        while self.applied() < sequence && self.read_on(log).await? {}
        Ok(())
    }

    /// Reads what comes next; `false`: nothing.
    async fn read_on(&self, log: &Arc<dyn EventLog>) -> Result<bool, ReadError> {
        self.confirm(log).await?;
        let after = self.applied();
        let events = log.read_all(Topic::Accounts, after, ReadLimit::default()).await?;
        self.apply(&events);
        Ok(!events.is_empty())
    }

    /// The log still has the event that is accounted for last.
    async fn confirm(&self, log: &Arc<dyn EventLog>) -> Result<(), ReadError> {
        let Some(last) = self.last() else { return Ok(()) };
        log.confirm(Topic::Accounts, last).await
    }

    fn last(&self) -> Option<Seen> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Up to where everything is accounted for.
    pub fn applied(&self) -> Sequence {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    /// Several readers may bring the same events: each is applied once, in order.
    pub(super) fn apply(&self, events: &[RecordedEvent]) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.take(events);
        self.domains.replace(&mut keys.domains);
        drop(keys);
        self.changes.send_replace(());
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// When it is unknown, revoked or expired; which of them is nobody's business.
    pub fn authenticate(&self, key: &str, now: DateTime<Utc>) -> Result<Principal, AuthError> {
        let hash = hash_of(key);
        if self.configured.is_some_and(|configured| configured.ct_eq(&hash).into()) {
            let owner = ADMIN_OWNER.parse().map_err(|_| AuthError)?;
            let actor = "key:configured".into();
            let scopes = Scopes::of(&[Scope::Admin]);
            return Ok(Principal { key: None, actor, owner, owner_age: Duration::MAX, scopes });
        }
        if !is_well_formed(key) {
            return Err(AuthError);
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        // What is looked up is a hash of 178 random bits: how long the look-up takes tells
        // nothing about any key.
        let record = keys.by_hash.get(&hash).and_then(|id| keys.by_id.get(id)).ok_or(AuthError)?;
        if !record.works(now) {
            return Err(AuthError);
        }
        Ok(Principal {
            key: Some(record.created.id),
            actor: format!("key:{}", record.created.id).into(),
            owner: record.created.owner.clone(),
            owner_age: keys.age_of(&record.created.owner, now),
            scopes: Scopes::of(&record.created.scopes),
        })
    }

    /// Whether a key that a request came with still works.
    #[must_use]
    pub fn works(&self, principal: &Principal, now: DateTime<Utc>) -> bool {
        self.left(principal, now).is_some()
    }

    /// Resolves when a key that works stops working: it was revoked, or its end has come.
    pub async fn ended(&self, principal: &Principal, clock: &Clock) {
        // Before the first look, so that nothing is missed between that and the wait.
        let mut changes = self.changes.subscribe();
        while let Some(left) = self.left(principal, clock.now()) {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// How long a key may still be used, looked at again at the latest after [`LOOK_MAX`]; `None`:
    /// no longer.
    fn left(&self, principal: &Principal, now: DateTime<Utc>) -> Option<Duration> {
        let Some(id) = principal.key else { return Some(LOOK_MAX) };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let record = keys.by_id.get(&id).filter(|record| record.works(now))?;
        let left = record.created.expires_at.map_or(Ok(LOOK_MAX), |end| (end - now).to_std());
        Some(left.unwrap_or_default().min(LOOK_MAX))
    }

    /// All keys, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<KeyRecord> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = keys.by_id.values().cloned().collect();
        list.sort_by_key(|record| std::cmp::Reverse((record.created_at, record.created.id)));
        list
    }

    /// One key.
    #[must_use]
    pub fn get(&self, id: ApiKeyId) -> Option<KeyRecord> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// One webhook.
    #[must_use]
    pub fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).webhooks.get(id)
    }

    /// All webhooks, the newest first.
    #[must_use]
    pub fn webhooks(&self) -> Vec<Arc<Webhook>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).webhooks.list()
    }

    /// Whether there was such a webhook, which is gone.
    #[must_use]
    pub fn webhook_was_deleted(&self, id: WebhookId) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).webhooks.was_deleted(id)
    }

    /// The domains that there are.
    #[must_use]
    pub fn domains(&self) -> &Arc<LiveDomains> {
        &self.domains
    }

    /// Is told of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether there is any key, the configured one included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        self.configured.is_none() && keys.by_id.is_empty()
    }
}

impl Keys {
    fn applied(&self) -> Sequence {
        self.last.map_or(Sequence::START, |last| last.sequence)
    }

    /// For how long an owner has had keys; a clock that goes back makes nobody older.
    fn age_of(&self, owner: &OwnerId, now: DateTime<Utc>) -> Duration {
        let since = self.owners_since.get(owner).copied().unwrap_or(now);
        (now - since).to_std().unwrap_or_default()
    }

    fn take(&mut self, events: &[RecordedEvent]) {
        for event in events {
            if self.last.is_none_or(|last| event.position.sequence > last.sequence) {
                self.apply_recorded(event);
                self.last = Some(event.into());
            }
        }
    }

    fn apply_recorded(&mut self, event: &RecordedEvent) {
        match event.decode() {
            Ok(Some(envelope)) => match &envelope.event {
                Event::Webhook(happened) => {
                    self.webhooks.apply(event.stream.key(), happened, envelope.time);
                }
                Event::Domain(happened) => self.domains.apply(happened, envelope.time),
                other => self.apply(other, envelope.time),
            },
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "an event of an API key, a webhook or a domain can't be read: it works no more");
                self.distrust(event.stream.key());
            }
        }
    }

    /// What can't be read may be the revocation.
    fn distrust(&mut self, stream: &str) {
        self.by_id.retain(|id, _| id.stream().key() != stream);
        self.webhooks.distrust(stream);
        self.domains.distrust(stream);
    }

    fn apply(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::Account(AccountEvent::ApiKeyCreated(created)) => {
                let mut hash = [0; 32];
                if from_hex(&created.hash.0, &mut hash) {
                    self.by_hash.insert(hash, created.id);
                }
                self.owners_since.entry(created.owner.clone()).or_insert(at);
                let record =
                    KeyRecord { created: created.clone(), created_at: at, revoked_at: None };
                self.by_id.insert(created.id, record);
            }
            Event::Account(AccountEvent::ApiKeyRevoked(revoked)) => {
                if let Some(record) = self.by_id.get_mut(&revoked.id) {
                    record.revoked_at = Some(at);
                }
            }
            Event::Account(AccountEvent::CodeSecretMade(_))
            | Event::Webhook(_)
            | Event::Domain(_)
            | Event::Link(_)
            | Event::Click(_)
            | Event::Orphan(_) => {}
        }
    }
}

/// Reads 64 hexadecimal digits.
fn from_hex(text: &str, bytes: &mut [u8; 32]) -> bool {
    text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && bytes.iter_mut().enumerate().all(|(n, byte)| {
            let digits = u8::from_str_radix(&text[2 * n..2 * n + 2], 16);
            digits.map(|value| *byte = value).is_ok()
        })
}
