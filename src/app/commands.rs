//! What commands are made of.

use std::sync::Arc;

use hoplog_events::log::EventLog;

use super::StartError;
use crate::accounts::KeyRing;
use crate::blocklist::LiveBlockLists;
use crate::clicks::node::NodeId;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::commands::code::CodeMaker;
use crate::commands::code_secret::CodeSecret;
use crate::commands::worker::{WorkerError, WorkerId};
use crate::config::{Codes, Settings};
use crate::domain::domains::Domains;
use crate::http::origin::Origin;

pub(super) async fn open(
    settings: &Settings,
    log: &Arc<dyn EventLog>,
    node: &NodeId,
    (keys, clock): (&KeyRing, &Clock),
) -> Result<Commands, StartError> {
    let codes = codes(settings, log.as_ref(), node).await?;
    let secret = CodeSecret::of(log, clock.now()).await?;
    let blocked = LiveBlockLists::open(settings.abuse.blocklist.clone()).await?;
    let origin = settings.base_url.as_ref().map(Origin::of_url);
    let own_hosts = origin.iter().map(|origin| origin.host().into()).collect();
    let commands = Commands::new(Arc::clone(log), codes, secret, own_hosts);
    Ok(commands.blocking(blocked).among(keys.domains()))
}

/// Only numbered codes need a number of the node.
async fn codes(
    settings: &Settings,
    log: &dyn EventLog,
    node: &NodeId,
) -> Result<CodeMaker, WorkerError> {
    let worker = match settings.codes {
        Codes::Snowflake => WorkerId::lease(log, node.id()).await?,
        Codes::Random => WorkerId::ONLY,
    };
    Ok(CodeMaker::new(settings.codes, worker))
}

/// The public origin. With domains the service's own host is known, and none of them: else its own links would be shown under hosts that lead
/// to other people's.
pub(super) fn own_origin(
    settings: &Settings,
    domains: &Domains,
) -> Result<Option<Origin>, StartError> {
    let origin = settings.base_url.as_ref().map(Origin::of_url);
    match origin.as_ref().map(Origin::host) {
        Some(host) if domains.other(host).is_some() => {
            Err(StartError::OwnHostIsDomain(host.into()))
        }
        None if !domains.is_alone() => Err(StartError::NoBaseUrl),
        _ => Ok(origin),
    }
}
