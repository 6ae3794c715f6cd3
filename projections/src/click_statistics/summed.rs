//! Up to where clicks are summed up for longer spans. Whoever asks looks that up first, and reads quarters from
//! there on.

use std::collections::BTreeMap;

use super::names_of_all;
use super::queries::{ClickStatistics, Scope};
use super::selection::Selection;
use super::spans::{Span, over_for_all_at};
use crate::database::{DatabaseError, Row, Value};
use crate::dimension::Dimension;
use crate::table_set::TableSet;

/// Is told where no name has rows that count.
const NOBODY: i64 = -1;

/// Rows that are read together.
#[derive(Clone)]
pub(super) struct Subject {
    /// The links that are looked up; `None`: they are named.
    selected: Option<Selection>,
    /// The condition that the rows meet.
    pub(super) condition: String,
    /// Its parameter `$1`.
    pub(super) parameter: String,
    /// The quarters before this one are summed up; `None`: that is not known of any.
    pub(super) over: Option<i64>,
    /// Whose rows tell that: what stands for them in a statement.
    names: Vec<String>,
}

impl Subject {
    /// Everything that is asked about.
    pub(super) fn of(scope: &Scope) -> Self {
        match scope {
            Scope::Link(link) => Self::of_names(&[link.to_string()]),
            Scope::Owner(owner) => Self::selected(Selection::of_owner(owner)),
            Scope::Selected(selection) => Self::selected(selection.clone()),
            Scope::All => Self::of_names(&names_of_all().map(String::from).collect::<Vec<_>>()),
        }
    }

    fn selected(selection: Selection) -> Self {
        Self {
            condition: "link in (select link from selected)".to_owned(),
            parameter: selection.first(),
            selected: Some(selection),
            over: None,
            names: names_of_all().map(|name| format!("'{name}'")).collect(),
        }
    }

    /// What a statement begins with: links are looked up once for all its parts. The parameters of that are added
    /// to those that there are.
    pub(super) fn with(&self, values: &mut Vec<Value>) -> String {
        let with = |selection: &Selection| {
            format!("with selected as materialized ({}) ", selection.sql(values))
        };
        self.selected.as_ref().map(with).unwrap_or_default()
    }

    /// A link, or the rows of all links of some partitions, whose names need no care.
    fn of_names(names: &[String]) -> Self {
        let first = names.first().cloned().unwrap_or_default();
        let others = names.iter().skip(1).map(|name| format!("'{name}'"));
        let names: Vec<String> = std::iter::once("$1".to_owned()).chain(others).collect();
        let condition = format!("link in ({})", names.join(", "));
        Self { selected: None, condition, parameter: first, over: None, names }
    }

    /// Whether these are rows of many links, which are not looked at one by one.
    fn is_selected(&self) -> bool {
        self.selected.is_some()
    }

    /// Whether these are the rows of one link: many, but short ones.
    pub(super) fn is_link(&self) -> bool {
        !self.is_selected() && names_of_all().all(|name| name != self.parameter.as_str())
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

    /// A part of a statement on the sums that tells the same again, in the statement's own view of the tables: it
    /// may be a replica's that is behind the one that was asked before. Names without rows from this quarter on have none
    /// that count.
    pub(super) fn check(&self, mark: i64, from: i64) -> String {
        let told = if self.is_selected() { "h.newest" } else { "coalesce(h.hour, 0)" };
        let from = Span::Quarter.bucket(Dimension::Total, from);
        format!(
            "select coalesce(min({told}), {NOBODY}) as bucket, {mark} as dimension, '' as value, \
             0 as clicks, cast(null as {{bytes}}) as visitors from ({}) h where h.newest >= {from}",
            self.newest()
        )
    }

    /// Whether what was looked up is so in that view.
    pub(super) fn is_so(&self, told: i64) -> Result<bool, DatabaseError> {
        Ok(self.over.is_none() || told == NOBODY || self.over_by(Some(told))? >= self.over)
    }

    /// Which quarters are summed up, by the last hour that is, of whose six hours all is; 0 stands for none. Of many links
    /// by the newest quarter of a partition.
    fn over_by(&self, told: Option<i64>) -> Result<Option<i64>, DatabaseError> {
        let quarter = told.filter(|told| *told != 0).map(Span::quarter_of).transpose()?;
        let over = if self.is_selected() {
            over_for_all_at
        } else {
            |quarter| Span::SixHours.end_of(quarter)
        };
        Ok(quarter.map(over))
    }
}

impl ClickStatistics {
    /// The same rows, those together that are summed up to the same quarter, as far as there are any from a quarter on. All
    /// links of a selection are read together: up to where every partition is summed up.
    pub(super) async fn summed(
        &self,
        subject: &Subject,
        set: TableSet,
        from: i64,
    ) -> Result<Vec<Subject>, DatabaseError> {
        let is_selected = subject.is_selected();
        let read = |row: &Row| {
            let (newest, hour) = (row.optional_int(1)?, row.optional_int(2)?);
            let over = subject.over_by(if is_selected { newest } else { hour })?;
            Ok((row.text(0)?.to_owned(), newest.map(Span::quarter_of).transpose()?, over))
        };
        let named = [Value::from(subject.parameter.as_str())];
        let named = if is_selected { &named[..0] } else { &named[..] };
        let found = self.tables.fetch(&set.render(&subject.newest()), named, read).await?;
        // A link that has no rows of sums may have few clicks.
        let is_link = found.len() == 1;
        let there = found
            .into_iter()
            .filter(|(_, newest, _)| is_link || newest.is_some_and(|newest| newest >= from));
        if is_selected {
            let over = there.filter_map(|(.., over)| over).min();
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
