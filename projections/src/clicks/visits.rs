//! Which clicks are a visitor's: asked when his data is to be erased, and never else.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_events::link::LinkKey;
use hoplog_events::position::Sequence;
use uuid::Uuid;

use super::queries::Clicks;
use crate::database::{DatabaseError, Row, Value};

/// How many events' clicks one statement looks through: it ends within moments, and nobody's
/// connection is held for long.
const EVENTS_AT_ONCE: u64 = 1_000;

/// The most clicks on a page.
const PAGE_CLICKS: usize = 500;

/// Somebody who visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visitor {
    /// By the hash of one day.
    Hash(VisitorHash),
    /// By the address, where addresses are kept.
    Address(IpAddr),
}

/// A click of a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Where the event is that holds the click.
    pub sequence: Sequence,
    /// That event.
    pub event: Uuid,
    /// The place of the click in it.
    pub place: usize,
    /// The link.
    pub link: LinkKey,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The visitor's hash.
    pub visitor: VisitorHash,
    /// The raw agent.
    pub user_agent: Option<String>,
}

/// Where a look through all clicks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    sequence: i64,
    place: i64,
}

impl Place {
    /// Before the first click.
    pub const START: Self = Self { sequence: 0, place: -1 };
}

impl Clicks {
    /// Clicks of a visitor behind a place, up to an event, and where to look on; nothing: that was
    /// all. A page may be empty.
    ///
    /// There is no index by visitor, on purpose: every click would pay for it, and this is asked
    /// rarely. The table is looked through in its own order, once.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn of_visitor(
        &self,
        visitor: &Visitor,
        after: Place,
        up_to: Sequence,
    ) -> Result<(Vec<Visit>, Option<Place>), DatabaseError> {
        let (is_visitors, values) = condition(visitor);
        let sql = format!(
            "select sequence, place, event_id, link, at, visitor, user_agent \
             from {{clicks.clicks}} where (sequence, place) > ($1, $2) and sequence <= $3 \
             and {is_visitors} order by sequence, place limit {PAGE_CLICKS}"
        );
        let all = up_to.0.cast_signed();
        let end = after.sequence.saturating_add_unsigned(EVENTS_AT_ONCE).min(all);
        let places = [after.sequence.into(), after.place.into(), end.into()];
        let visits = self.tables.work(&sql, &[&places[..], &values[..]].concat(), read).await?;
        let next = match visits.last() {
            Some(last) if visits.len() == PAGE_CLICKS => Some(Place {
                sequence: last.sequence.0.cast_signed(),
                place: i64::try_from(last.place).unwrap_or(i64::MAX),
            }),
            _ => (end < all).then_some(Place { sequence: end, place: i64::MAX }),
        };
        Ok((visits, next))
    }
}

/// An address may have been written in two ways: imports keep the one that they were given.
fn condition(visitor: &Visitor) -> (&'static str, Vec<Value>) {
    match visitor {
        Visitor::Hash(hash) => ("visitor = $4", vec![hash.0.cast_signed().into()]),
        Visitor::Address(address) => {
            let mapped = match address.to_canonical() {
                IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
                address @ IpAddr::V6(_) => address,
            };
            let both = [address.to_canonical(), mapped].map(|address| address.to_string().into());
            ("address in ($4, $5)", both.into())
        }
    }
}

fn read(row: &Row) -> Result<Visit, DatabaseError> {
    Ok(Visit {
        sequence: Sequence(row.count(0)?),
        place: usize::try_from(row.count(1)?).unwrap_or(usize::MAX),
        event: row.parse(2)?,
        link: row.parse(3)?,
        at: row.instant(4)?,
        visitor: VisitorHash(row.count(5)?),
        user_agent: row.optional_text(6)?.map(str::to_owned),
    })
}
