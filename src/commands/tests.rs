//! What commands are tested with: a real log of their own, somebody, and what they want.

use std::sync::Arc;

use chrono::DateTime;
use hoplog_events::link::{Domain, Extras, RedirectStatus, Tags};
use hoplog_events::log::EventLog;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use tempfile::TempDir;

use super::code::CodeMaker;
use super::code_secret::CodeSecret;
use super::create_link::WantedLink;
use super::worker::WorkerId;
use super::{Commands, Issuer};
use crate::config::Codes;

pub(crate) struct World {
    _dir: TempDir,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) commands: Commands,
}

pub(crate) async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(log);
    let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
    let secret = CodeSecret::of(&log, DateTime::UNIX_EPOCH).await.unwrap();
    World { _dir: dir, commands: Commands::new(Arc::clone(&log), codes, secret, Vec::new()), log }
}

pub(crate) fn issuer(owner: &str) -> Issuer {
    Issuer {
        owner: owner.parse().unwrap(),
        admin: false,
        actor: "key:test".into(),
        correlation_id: "r1".into(),
        now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    }
}

/// A link with an alias, or without.
pub(crate) fn wanted(alias: Option<&str>) -> WantedLink {
    WantedLink {
        domain: Domain::service(),
        alias: alias.map(|alias| alias.parse().unwrap()),
        url: "https://example.com/".parse().unwrap(),
        expires_at: None,
        redirect: RedirectStatus::Found,
        title: None,
        tags: Tags::default(),
        note: None,
        external_id: None,
        extras: Extras::default(),
    }
}
