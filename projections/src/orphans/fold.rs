//! From batches of orphan visits to one row per visit.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::envelope::{Envelope, RecordedEvent};
use hoplog_events::orphan::{Orphan, OrphanEvent, OrphanKind};
use hoplog_events::position::Topic;

use super::{NAME, VERSION};
use crate::click_statistics::bucket_of;
use crate::clicks::cut;
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::partition::Share;
use crate::projection::{Changes, Projection, Table};
use crate::runner::Batch;
use crate::table_set::TableSet;
use crate::user_agents::UserAgents;

/// What the types of events about orphan visits begin with.
const ORPHANS: &str = "hoplog.orphans.";

/// Whose share all of them are: what is kept of one may depend on what was told with another.
const SUBJECT: &str = NAME;

const VISIT: &[Column] = &[
    Column::Int("at"),
    Column::Int("sequence"),
    Column::Int("place"),
    Column::Text("event_id"),
    Column::Text("kind"),
    Column::Text("domain"),
    Column::Text("path"),
    Column::Int("bot"),
    Column::Int("visitor"),
    Column::Text("class"),
    Column::Text("country"),
    Column::Text("region"),
    Column::Text("city"),
    Column::Text("device"),
    Column::Text("browser"),
    Column::Text("system"),
    Column::Text("referrer"),
    Column::Text("language"),
];

const UNRECORDED: &[Column] =
    &[Column::Int("bucket"), Column::Text("kind"), Column::Text("domain"), Column::Int("visits")];

const HORIZON: &[Column] = &[Column::Int("id"), Column::Int("at")];

const ADD: &str = "insert into {orphans.unrecorded} as u (bucket, kind, domain, visits) \
    select bucket, kind, domain, visits from {rows} where true \
    on conflict (bucket, kind, domain) do update set visits = u.visits + excluded.visits";

/// What is kept begins later and later, however events come.
const MOVE: &str = "insert into {orphans.horizon} as h (id, at) select id, at from {rows} where true \
    on conflict (id) do update set at = excluded.at where excluded.at > h.at";

/// A quarter of an hour has 900,000,000 microseconds.
const FORGET: [&str; 2] = [
    "delete from {orphans.visits} where at < (select max(at) from {orphans.horizon})",
    "delete from {orphans.unrecorded} where bucket < \
     (select max(at) / 900000000 from {orphans.horizon})",
];

/// Keeps orphan visits.
#[derive(Debug)]
pub struct OrphansProjection {
    agents: Arc<UserAgents>,
}

impl OrphansProjection {
    /// Classifies visits with the agents that are remembered.
    #[must_use]
    pub fn new(agents: Arc<UserAgents>) -> Self {
        Self { agents }
    }
}

#[async_trait]
impl Projection for OrphansProjection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        VERSION
    }

    fn topic(&self) -> Topic {
        Topic::Clicks
    }

    fn definition(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn keeps_order(&self) -> bool {
        false
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "visits", key: &["at", "sequence", "place"] },
            Table { name: "unrecorded", key: &["bucket", "kind", "domain"] },
            Table { name: "horizon", key: &["id"] },
        ]
    }

    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError> {
        let mut new = NewOrphans::default();
        if share.holds(SUBJECT) {
            let events = batch.events().iter();
            for event in events.filter(|event| event.event_type.starts_with(ORPHANS)) {
                new.take(event, &self.agents)?;
            }
        }
        Ok(Box::new(new))
    }
}

/// Orphan visits to be written.
struct NewOrphans {
    visits: Rows,
    recorded: u64,
    unrecorded: BTreeMap<(i64, OrphanKind, String), u64>,
    kept_from: Option<i64>,
}

impl Default for NewOrphans {
    fn default() -> Self {
        let visits = Rows::new(VISIT);
        Self { visits, recorded: 0, unrecorded: BTreeMap::new(), kept_from: None }
    }
}

impl NewOrphans {
    fn take(&mut self, event: &RecordedEvent, agents: &UserAgents) -> Result<(), DecodeError> {
        let Some(envelope) = event.decode()? else { return Ok(()) };
        let Event::Orphan(OrphanEvent::Recorded(recorded)) = &envelope.event else {
            return Ok(());
        };
        for (place, visit) in recorded.visits.iter().enumerate() {
            self.push((event, &envelope), place, visit, agents);
        }
        self.recorded += recorded.visits.len() as u64;
        for more in &recorded.unrecorded {
            let key = (bucket_of(more.since), more.kind, more.domain.to_string());
            *self.unrecorded.entry(key).or_default() += more.visits;
        }
        self.kept_from = self.kept_from.max(Some(recorded.kept_from.timestamp_micros()));
        Ok(())
    }

    fn push(
        &mut self,
        (event, envelope): (&RecordedEvent, &Envelope),
        place: usize,
        visit: &Orphan,
        agents: &UserAgents,
    ) {
        let agent = agents.recognise(visit.user_agent.as_deref().unwrap_or_default());
        let class = agent.class(visit.method.as_deref(), visit.purpose.as_deref());
        let text = |text: &Option<Box<str>>| cut(text.as_deref().unwrap_or_default()).to_owned();
        self.visits.push(|row| {
            row.int(visit.at.timestamp_micros())
                .count(event.position.sequence.0)
                .count(place as u64)
                .text(envelope.id.hyphenated().encode_lower(&mut [0; 36]))
                .text(visit.kind.name())
                .text(visit.domain.as_str())
                .text(&text(&visit.path))
                .int(class.is_bot().into())
                .int(visit.visitor.0.cast_signed())
                .text(class.name())
                .text(&text(&visit.country))
                .text(&text(&visit.region))
                .text(&text(&visit.city))
                .text(agent.device)
                .text(&agent.browser)
                .text(&agent.system)
                .text(&text(&visit.referrer))
                .text(&text(&visit.language));
        });
    }
}

#[async_trait]
impl Changes for NewOrphans {
    fn facts(&self) -> u64 {
        self.recorded
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let Some(kept_from) = self.kept_from else { return Ok(()) };
        if !self.visits.is_empty() {
            transaction.append(&set.table("visits"), std::iter::once(self.visits)).await?;
        }
        let mut unrecorded = Rows::new(UNRECORDED);
        for ((bucket, kind, domain), visits) in &self.unrecorded {
            unrecorded.push(|row| {
                row.int(*bucket).text(kind.name()).text(domain).count(*visits);
            });
        }
        transaction.write(&set.render(ADD), unrecorded).await?;
        let mut horizon = Rows::new(HORIZON);
        horizon.push(|row| {
            row.int(0).int(kept_from);
        });
        transaction.write(&set.render(MOVE), horizon).await?;
        // What comes late is forgotten as well: the horizon was moved by what came before.
        for forget in FORGET {
            transaction.execute(set.render(forget), &[]).await?;
        }
        Ok(())
    }
}
