//! Clicks by hour of the day: when is a link clicked?

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::Timelike;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::position::Topic;

use crate::clicks::batch::each_click;
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::partition::Share;
use crate::projection::{Changes, Projection, Table};
use crate::runner::Batch;
use crate::table_set::TableSet;

const HOUR: &[Column] = &[Column::Text("link"), Column::Int("hour"), Column::Int("clicks")];

/// A row that is there already is added to: sums don't mind order, nor how events are cut.
const ADD: &str = "insert into {hours_of_day.hours} as h (link, hour, clicks) \
    select link, hour, clicks from {rows} where true \
    on conflict (link, hour) do update set clicks = h.clicks + excluded.clicks";

#[derive(Debug)]
pub(super) struct HoursOfDay;

#[async_trait]
impl Projection for HoursOfDay {
    fn name(&self) -> &'static str {
        "hours_of_day"
    }

    fn version(&self) -> i64 {
        1
    }

    fn topic(&self) -> Topic {
        Topic::Clicks
    }

    fn definition(&self) -> &'static str {
        "create table {hours_of_day.hours} (link {text} not null, hour bigint not null, \
         clicks bigint not null, primary key (link, hour)) {clustered}"
    }

    fn keeps_order(&self) -> bool {
        false
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "hours", key: &["link", "hour"] }]
    }

    fn fold(&self, batch: &Batch, of: Share) -> Result<Box<dyn Changes>, DecodeError> {
        let mut hours = Hours::default();
        for event in batch.events() {
            each_click(event, of, |_, link, click| {
                *hours.0.entry((link.to_owned(), click.at.hour())).or_default() += 1;
            })?;
        }
        Ok(Box::new(hours))
    }
}

/// The clicks of a batch by link and hour.
#[derive(Default)]
struct Hours(BTreeMap<(String, u32), u64>);

#[async_trait]
impl Changes for Hours {
    fn facts(&self) -> u64 {
        self.0.values().sum()
    }

    async fn write(
        self: Box<Self>,
        to: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(HOUR);
        for ((link, hour), clicks) in &self.0 {
            rows.push(|row| {
                row.text(link).int(i64::from(*hour)).count(*clicks);
            });
        }
        to.write(&set.render(ADD), rows).await
    }
}
