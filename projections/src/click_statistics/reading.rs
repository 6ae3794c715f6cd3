//! The statement that reads what an answer is made of.

use std::ops::Range;

use super::range::Plan;
use super::summed::Subject;
use crate::clicks::BotFilter;
use crate::database::Value;

/// Stands for a dimension where a row is of the quarters.
pub(super) const IS_QUARTER: i64 = -1;

/// Stands for a dimension where a row tells up to where clicks are summed up.
pub(super) const IS_CHECK: i64 = -2;

/// What a part gives.
const COLUMNS: &str = "bucket, dimension, value, clicks, visitors";
const PACKED: &str = "{packed: int bucket, int dimension, text value, int clicks, bytes visitors}";

/// How many spans are in one part where their rows become one value: a quarter with few clicks has two rows of 900 bytes
/// at most, the clicks of all together two of 16 KiB, and all their values some hundred of those. An answer has all rows of a
/// part in memory, a few times.
const QUARTERS: i64 = 1_024;
const TOTALS: i64 = 256;
const VALUES: i64 = 4;

/// The most parts of a range: SQLite takes 500 in a statement. Where little is summed up a range has many quarters, but
/// few rows.
const PARTS_MAX: i64 = 64;

/// A statement that is put together.
struct Statement<'a> {
    subject: &'a Subject,
    /// Whether rows become one value.
    packs: bool,
    parts: Vec<String>,
    values: Vec<Value>,
}

/// The statement that reads rows, and its parameters. It is one for each subject: clicks that are moved from one table to
/// the other are in one of them.
pub(super) fn statement(
    plan: &Plan,
    bots: BotFilter,
    subject: &Subject,
    packs: bool,
) -> (String, Vec<Value>) {
    let (lowest, highest) = bots.range();
    let values = vec![subject.parameter.as_str().into(), lowest.into(), highest.into()];
    let packs = packs && subject.is_link();
    let mut statement = Statement { subject, packs, parts: Vec::new(), values };
    let quarters = format!(
        "bucket, {IS_QUARTER} as dimension, '' as value, 0 as clicks, clicks as visitors \
         from {{click_statistics.quarters}}"
    );
    statement.add(&quarters, &plan.quarters, QUARTERS);
    if subject.over.is_some() {
        statement.parts.push(statement.part(&subject.check(IS_CHECK, plan.quarters.start)));
    }
    // A part for each run: of a join with all of them PostgreSQL can't tell how few rows it gives.
    let sums = format!("{COLUMNS} from {{click_statistics.sums}}");
    for (runs, spans) in plan.runs(subject.over).iter().zip([TOTALS, VALUES]) {
        for run in runs {
            statement.add(&sums, run, spans);
        }
    }
    let with = subject.with(&mut statement.values);
    (format!("{with}{}", statement.parts.join(" union all ")), statement.values)
}

impl Statement<'_> {
    /// Adds the rows of a range, so many spans in each part.
    fn add(&mut self, columns: &str, range: &Range<i64>, spans: i64) {
        let all = range.end - range.start;
        let spans = if self.packs { spans.max(all / PARTS_MAX + 1) } else { all };
        let mut first = range.start;
        while first < range.end {
            let past = range.end.min(first.saturating_add(spans));
            self.values.extend([first, past].map(Value::from));
            let (from, before) = (self.values.len() - 1, self.values.len());
            let condition = &self.subject.condition;
            self.parts.push(self.part(&format!(
                "select {columns} where {condition} \
                 and bucket >= ${from} and bucket < ${before} and bot between $2 and $3"
            )));
            first = past;
        }
    }

    fn part(&self, rows: &str) -> String {
        if self.packs { format!("select {PACKED} from ({rows}) r") } else { rows.to_owned() }
    }
}
