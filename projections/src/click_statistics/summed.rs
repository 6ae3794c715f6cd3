//! Up to where clicks are summed up for longer spans. Whoever asks looks that up first, and reads quarters from
//! there on.

use std::collections::BTreeMap;

use super::names_of_all;
use super::queries::{ClickStatistics, OWNED, Scope};
use super::spans::{Span, over_at};
use crate::database::{DatabaseError, Row, Value};
use crate::dimension::Dimension;

/// Rows that are read together.
#[derive(Clone)]
pub(super) struct Subject {
    /// What a statement begins with.
    pub(super) with: &'static str,
    /// The condition that the rows meet.
    pub(super) condition: String,
    /// Its parameter `$1`.
    pub(super) parameter: String,
    /// The quarters before this one are summed up; `None`: that is not known of any.
    pub(super) over: Option<i64>,
    /// Whose hours tell that: what stands for them in a statement.
    names: Vec<String>,
}

impl Subject {
    /// Everything that is asked about.
    pub(super) fn of(scope: &Scope) -> Self {
        match scope {
            Scope::Link(link) => Self::of_names(&[link.to_string()]),
            Scope::Owner(owner) => Self {
                with: OWNED,
                condition: "link in (select link from owned)".to_owned(),
                parameter: owner.to_string(),
                over: None,
                names: names_of_all().map(|name| format!("'{name}'")).collect(),
            },
            Scope::All => Self::of_names(&names_of_all().map(String::from).collect::<Vec<_>>()),
        }
    }

    /// All names but the first are those of partitions.
    fn of_names(names: &[String]) -> Self {
        let (first, others) = names
            .split_first()
            .map_or((String::new(), names), |(first, others)| (first.clone(), others));
        let quoted = others.iter().map(|name| format!("'{name}'"));
        let names: Vec<String> = std::iter::once("$1".to_owned()).chain(quoted).collect();
        let condition = format!("link in ({})", names.join(", "));
        Self { with: "", condition, parameter: first, over: None, names }
    }

    /// Reads for each name the newest row there is, and the last hour that is summed up.
    fn newest(&self) -> String {
        let newest = "select max(s.bucket) from {click_statistics.sums} s where s.link = n.column1";
        let [first, past] = Span::Hour.all(Dimension::Total);
        format!(
            "select n.column1 as name, ({newest}) as newest, \
             ({newest} and s.bucket >= {first} and s.bucket < {past}) as hour \
             from (values ({})) n",
            self.names.join("), (")
        )
    }

    /// The parameters of that.
    fn named(&self) -> Vec<Value> {
        if self.with.is_empty() { vec![self.parameter.as_str().into()] } else { Vec::new() }
    }

    /// A part of a statement on the sums that tells the last hour again, in the statement's own view of the tables: it
    /// may be a replica's that is behind the one that was asked before.
    pub(super) fn last_hour(&self, mark: i64) -> String {
        format!(
            "select min(case when h.newest is not null then coalesce(h.hour, 0) end), {mark}, '', 0, \
             null from ({}) h",
            self.newest()
        )
    }

    /// Whether what was looked up is so in that view.
    pub(super) fn is_so(&self, last_hour: Option<i64>) -> Result<bool, DatabaseError> {
        Ok(self.over.is_none() || last_hour.is_none() || over_behind(last_hour)? >= self.over)
    }
}

/// Which quarters are summed up when an hour is; 0 stands for no hour. The span of six hours that it is in was
/// summed up as a whole.
fn over_behind(hour: Option<i64>) -> Result<Option<i64>, DatabaseError> {
    let hour = hour.filter(|hour| *hour != 0);
    let quarter = hour.map(Span::quarter_of).transpose()?;
    Ok(quarter.map(|quarter| {
        let number = Span::SixHours.number_of(over_at(quarter));
        Span::SixHours.first_quarter(number + 1)
    }))
}

impl ClickStatistics {
    /// The same rows, those together that are summed up to the same quarter. All links of an owner are read together: up
    /// to where every partition is summed up.
    pub(super) async fn summed(&self, subject: &Subject) -> Result<Vec<Subject>, DatabaseError> {
        let read = |row: &Row| {
            let is_there = row.optional_int(1)?.is_some();
            Ok((row.text(0)?.to_owned(), is_there, over_behind(row.optional_int(2)?)?))
        };
        let found = self.tables.fetch(&subject.newest(), &subject.named(), read).await?;
        // A link that has no rows of sums may have few clicks.
        let is_one = subject.names.len() == 1;
        let there = found.into_iter().filter(|(_, is_there, _)| *is_there || is_one);
        if !subject.with.is_empty() {
            let over = there.map(|(.., over)| over).min().flatten();
            return Ok(vec![Subject { over, ..subject.clone() }]);
        }
        let mut together = BTreeMap::<_, Vec<String>>::new();
        for (name, _, over) in there {
            together.entry(over).or_default().push(name);
        }
        let subject = |(over, names): (_, Vec<_>)| Subject { over, ..Subject::of_names(&names) };
        Ok(together.into_iter().map(subject).collect())
    }
}
