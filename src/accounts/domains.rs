//! The domains that there are, in memory: a part of the same fold as the keys. Every redirect asks for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};
use hoplog_events::domain::{
    DomainAdded, DomainChanged, DomainEvent, DomainRemoved, DomainSettings,
};
use hoplog_events::link::Domain;
use hoplog_events::position::Version;

use crate::domain::domains::{Domains, LinkDomain, evolve};

/// The domains as they are now. Whoever asks waits for nobody.
#[derive(Debug, Default)]
pub struct LiveDomains {
    current: ArcSwap<Domains>,
    /// Whether there is any but the service's own, or was: most have none, and pay for nothing but this look.
    has_others: AtomicBool,
}

impl LiveDomains {
    /// Whether there is no domain but the service's own, and never was.
    #[must_use]
    pub fn are_alone(&self) -> bool {
        !self.has_others.load(Ordering::Acquire)
    }

    /// To look at, for a moment.
    #[must_use]
    pub fn look(&self) -> Guard<Arc<Domains>> {
        self.current.load()
    }

    /// To keep.
    #[must_use]
    pub fn now(&self) -> Arc<Domains> {
        self.current.load_full()
    }

    /// Takes over what has changed.
    pub(super) fn replace(&self, fold: &mut DomainFold) {
        if std::mem::take(&mut fold.has_changed) {
            let domains = Domains::of(fold.all.values().cloned());
            let has_others = !domains.is_alone();
            self.current.store(Arc::new(domains));
            self.has_others.store(has_others, Ordering::Release);
        }
    }
}

/// All domains, by name.
#[derive(Debug)]
pub(super) struct DomainFold {
    all: BTreeMap<Domain, Arc<LinkDomain>>,
    has_changed: bool,
}

impl Default for DomainFold {
    /// None: also in the place of some that were of a log that was put back.
    fn default() -> Self {
        Self { all: BTreeMap::new(), has_changed: true }
    }
}

impl DomainFold {
    /// Takes an event over.
    pub(super) fn apply(&mut self, event: &DomainEvent, at: DateTime<Utc>) {
        let (DomainEvent::Added(DomainAdded { domain: name, .. })
        | DomainEvent::Changed(DomainChanged { domain: name, .. })
        | DomainEvent::Removed(DomainRemoved { domain: name })) = event;
        let before = self.all.remove(name).map(Arc::unwrap_or_clone);
        if let Some(domain) = evolve(before, event, at) {
            self.all.insert(name.clone(), Arc::new(domain));
        }
        self.has_changed = true;
    }

    /// What can't be read may be its end: it answers nothing any more. It is none of the service's own hosts for that.
    pub(super) fn distrust(&mut self, stream: &str) {
        let name = stream.strip_prefix("domain/").and_then(|name| name.parse::<Domain>().ok());
        let Some(name) = name else { return };
        if name.is_service() {
            self.all.remove(&name);
        } else {
            let before = self.all.remove(&name);
            let version = before.as_ref().map_or(Version::NONE, |domain| domain.version);
            let added_at = before.map_or(DateTime::UNIX_EPOCH, |domain| domain.added_at);
            let (settings, is_removed) = (DomainSettings::default(), true);
            let domain = LinkDomain { name: name.clone(), settings, added_at, is_removed, version };
            self.all.insert(name, Arc::new(domain));
        }
        self.has_changed = true;
    }
}
