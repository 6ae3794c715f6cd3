//! What visits are recorded with.

use std::borrow::Cow;
use std::sync::Arc;

use hoplog_events::click::VisitorHash;
use hoplog_events::log::EventLog;
use hoplog_projections::clicks::referrer_host;
use hoplog_projections::sketch::surrogate;
use hoplog_projections::user_agents::UserAgents;
use uuid::Uuid;

use super::StartError;
use crate::clicks::country::Locator;
use crate::clicks::enrichment::Enricher;
use crate::clicks::lane::{Bounds, Outlet};
use crate::clicks::node::NodeId;
use crate::clicks::orphans::{Forgets, OrphanOutlet, Orphans};
use crate::clicks::spool::Spool;
use crate::clicks::visitor::VisitorSalts;
use crate::clock::Clock;
use crate::config::{LogSettings, Settings};
use crate::data_dir::DataDir;

/// Where clicks go.
pub(super) async fn outlet(
    settings: &Settings,
    dir: &DataDir,
    log: &Arc<dyn EventLog>,
) -> Result<Outlet, StartError> {
    Ok(Outlet {
        log: Arc::clone(log),
        node: Arc::new(NodeId::open(&dir.node_id_file()).map_err(StartError::NodeId)?),
        spool: spool(settings, dir).await?,
        bounds: Bounds::default(),
    })
}

/// The embedded log needs no spool: it would be on the same disk. What one that was used before
/// left behind is delivered all the same.
async fn spool(settings: &Settings, dir: &DataDir) -> Result<Option<Arc<Spool>>, StartError> {
    if settings.log != LogSettings::Embedded {
        let spool = Spool::open(&dir.spool_file(), settings.spool_bytes_max).await?;
        return Ok(Some(Arc::new(spool)));
    }
    if !dir.spool_file().exists() {
        return Ok(None);
    }
    let spool = Spool::open(&dir.spool_file(), settings.spool_bytes_max).await?;
    Ok((spool.status().batches > 0).then(|| Arc::new(spool)))
}

pub(super) fn enricher(settings: &Settings, dir: &DataDir) -> Result<Enricher, StartError> {
    let locator = Locator::open(settings.geoip_db.clone())?;
    let salts = VisitorSalts::open(&dir.visitor_salts_file()).map_err(StartError::VisitorSalts)?;
    Ok(Enricher::new(locator, salts, settings.keep_addresses))
}

/// What records visits that lead nowhere.
pub(super) fn orphans(
    settings: &Settings,
    outlet: &Outlet,
    enricher: &Arc<Enricher>,
    clock: &Clock,
) -> Orphans {
    let outlet = OrphanOutlet {
        log: Arc::clone(&outlet.log),
        node: Arc::clone(&outlet.node),
        enricher: Arc::clone(enricher),
        forgets: Arc::new(AsErased::default()),
        clock: clock.clone(),
    };
    Orphans::start(outlet, &settings.orphans)
}

/// Who comes in vain is told of as whose clicks were erased.
#[derive(Debug, Default)]
struct AsErased(UserAgents);

impl Forgets for AsErased {
    fn visitor(&self, visitor: VisitorHash, event: Uuid, place: usize) -> VisitorHash {
        surrogate(visitor, event, place)
    }

    fn agent(&self, agent: &str) -> String {
        self.0.erased(agent)
    }

    fn host<'a>(&self, referrer: &'a str) -> Cow<'a, str> {
        referrer_host(referrer)
    }
}
