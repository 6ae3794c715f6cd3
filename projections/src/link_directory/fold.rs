//! How link events change the directory. What an event leaves alone comes from the row, so the
//! touched rows are read first, in the same transaction.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::link::{LinkEvent, LinkKey, LinkState, Tags};
use hoplog_events::position::{Sequence, Topic, Version};

use super::row::{COLUMNS, LinkRow, SELECTED, SELECTED_COLUMNS};
use super::{NAME, VERSION};
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::partition::Share;
use crate::projection::{Changes, Projection, Table};
use crate::runner::Batch;
use crate::table_set::TableSet;

const KEY: &[Column] = &[Column::Text("link")];
const TAG: &[Column] = &[
    Column::Text("link"),
    Column::Text("tag"),
    Column::Text("owner"),
    Column::Int("created_at"),
    Column::Int("number"),
    Column::Int("deleted"),
];

const UPSERT: &str = "insert into {link_directory.links} select * from {rows} where true \
    on conflict (number) do update set url = excluded.url, expires_at = excluded.expires_at, \
    redirect = excluded.redirect, state = excluded.state, title = excluded.title, \
    note = excluded.note, external_id = excluded.external_id, tags = excluded.tags, \
    version = excluded.version, sequence = excluded.sequence, archived = excluded.archived, \
    valid_from = excluded.valid_from, extras = excluded.extras";
const CLEAR_TAGS: &str = "delete from {link_directory.tags} \
    where (owner, tag, created_at, link) \
    in (select owner, tag, created_at, link from {rows})";
const INSERT_TAGS: &str = "insert into {link_directory.tags} \
    (link, tag, owner, created_at, number, deleted) \
    select link, tag, owner, created_at, number, deleted from {rows}";

/// Keeps the links as they are now.
#[derive(Debug, Default)]
pub struct LinkDirectoryProjection;

#[async_trait]
impl Projection for LinkDirectoryProjection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        VERSION
    }

    fn topic(&self) -> Topic {
        Topic::Links
    }

    fn definition(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "links", key: &["link"] }, Table { name: "tags", key: &["tag", "link"] }]
    }

    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError> {
        let mut links: BTreeMap<Box<str>, Vec<LinkChange>> = BTreeMap::new();
        for event in batch.events().iter().filter(|event| share.holds(event.stream.key())) {
            let Some(envelope) = event.decode()? else { continue };
            let Event::Link(fact) = envelope.event else { continue };
            let change = LinkChange {
                event: fact,
                time: envelope.time,
                version: event.version,
                sequence: event.position.sequence,
            };
            links.entry(event.stream.key().into()).or_default().push(change);
        }
        Ok(Box::new(LinkChanges(links)))
    }
}

/// One event of a link.
struct LinkChange {
    event: LinkEvent,
    time: DateTime<Utc>,
    version: Version,
    sequence: Sequence,
}

/// The events of each link, oldest first.
struct LinkChanges(BTreeMap<Box<str>, Vec<LinkChange>>);

#[async_trait]
impl Changes for LinkChanges {
    fn facts(&self) -> u64 {
        self.0.values().map(Vec::len).sum::<usize>() as u64
    }

    fn links(&self) -> Vec<LinkKey> {
        self.0.keys().filter_map(|key| key.parse().ok()).collect()
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let mut before = self.load(transaction, set).await?;
        let erases = |change: &LinkChange| matches!(change.event, LinkEvent::Erased(_));
        let has_erased = self.0.values().flatten().any(erases);
        let mut links = Rows::new(COLUMNS);
        let (mut tags_before, mut tags) = (Rows::new(TAG), Rows::new(TAG));
        let mut after: Vec<_> = self
            .0
            .into_iter()
            .filter_map(|(key, changes)| {
                let before = before.remove(&key);
                let had = before.as_ref().map(Kept::tags).unwrap_or_default();
                evolve(before, changes).map(|kept| (had, kept))
            })
            .collect();
        // In the order in which they are kept. At each step back FTS5 writes what it has gathered.
        after.sort_unstable_by_key(|(_, kept)| kept.number);
        for (had, kept) in &after {
            kept.row.push_to(kept.number, &mut links);
            let has = kept.tags();
            if *had != has {
                kept.push_tags(had, &mut tags_before);
                kept.push_tags(&has, &mut tags);
            }
        }
        transaction.write(&set.render(UPSERT), links).await?;
        transaction.write(&set.render(CLEAR_TAGS), tags_before).await?;
        transaction.write(&set.render(INSERT_TAGS), tags).await?;
        if has_erased {
            transaction.mark_unscrubbed(&set.table("erased")).await?;
        }
        Ok(())
    }
}

impl LinkChanges {
    /// The rows of the links that do not begin in this batch.
    async fn load(
        &self,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<BTreeMap<Box<str>, Kept>, DatabaseError> {
        let mut keys = Rows::new(KEY);
        let begins = |changes: &[LinkChange]| {
            changes.first().is_some_and(|first| matches!(first.event, LinkEvent::Created(_)))
        };
        for key in self.0.iter().filter(|(_, changes)| !begins(changes)).map(|(key, _)| key) {
            keys.push(|cells| {
                cells.text(key);
            });
        }
        let mut rows = BTreeMap::new();
        if keys.is_empty() {
            return Ok(rows);
        }
        let sql = format!(
            "select {SELECTED}, l.number from {{link_directory.links}} l \
             where link in (select link from {{rows}})"
        );
        transaction
            .read(&set.render(&sql), keys, |row| {
                let number = Sequence(row.count(SELECTED_COLUMNS)?);
                rows.insert(row.text(0)?.into(), Kept { row: LinkRow::read(row)?, number });
                Ok(())
            })
            .await?;
        Ok(rows)
    }
}

/// A link and its number.
struct Kept {
    row: LinkRow,
    number: Sequence,
}

impl Kept {
    /// What the table of tags has of it: its tags, and whether it was deleted.
    fn tags(&self) -> (Tags, bool) {
        (self.row.tags.clone(), self.row.state == LinkState::Deleted)
    }

    fn push_tags(&self, (tags, is_deleted): &(Tags, bool), rows: &mut Rows) {
        let Self { row, number } = self;
        let (key, created_at) = (row.key.to_string(), row.created_at.timestamp_micros());
        for tag in tags.iter() {
            rows.push(|cells| {
                let cells = cells.text(&key).text(tag.as_str()).text(row.owner.as_str());
                cells.int(created_at).count(number.0).int((*is_deleted).into());
            });
        }
    }
}

/// The link after its changes; `None`: nothing that began with its creation.
fn evolve(before: Option<Kept>, changes: Vec<LinkChange>) -> Option<Kept> {
    changes.into_iter().fold(before, |kept, change| match (kept, change.event) {
        (None, LinkEvent::Created(created)) => {
            let row = LinkRow::new(created, change.time, change.version, change.sequence);
            Some(Kept { row, number: change.sequence })
        }
        (Some(mut kept), event) => {
            kept.row.apply(event, change.version, change.sequence);
            Some(kept)
        }
        (None, _) => None,
    })
}
