//! Links that are counted together: found by the indexes of the link directory, never by looking at every link.

use hoplog_events::link::{Domain, OwnerId, Tag};

use crate::database::Value;

/// Which links; every field that is given narrows the selection. They are those that the link directory has
/// now: a link that loses a tag takes all its clicks with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Links of one owner; `None`: of all.
    pub owner: Option<OwnerId>,
    /// Links with a tag.
    pub tag: Option<Tag>,
    /// Links of a domain.
    pub domain: Option<Domain>,
}

/// A condition, with `?` for its value.
type Term = (&'static str, String);

impl Selection {
    /// All links of an owner.
    #[must_use]
    pub fn of_owner(owner: &OwnerId) -> Self {
        Self { owner: Some(owner.clone()), ..Self::default() }
    }

    /// The table that knows, and what is asked of it: one condition at least.
    fn terms(&self) -> (&'static str, Vec<Term>) {
        let (table, mut terms) = ("{link_directory.links}", Vec::new());
        let table = if self.tag.is_some() { "{link_directory.tags}" } else { table };
        terms.extend(self.owner.as_ref().map(|owner| ("owner = ?", owner.to_string())));
        terms.extend(self.tag.as_ref().map(|tag| ("tag = ?", tag.to_string())));
        if let Some(domain) = &self.domain {
            // Names of links are `domain/code`; `0` is what comes after the slash.
            terms.push(("link >= ?", format!("{domain}/")));
            terms.push(("link < ?", format!("{domain}0")));
        }
        if terms.is_empty() {
            terms.push(("link >= ?", String::new()));
        }
        (table, terms)
    }

    /// What `$1` stands for in [`Selection::sql`].
    pub(super) fn first(&self) -> String {
        let (_, terms) = self.terms();
        terms.into_iter().next().map(|(_, value)| value).unwrap_or_default()
    }

    /// The statement that gives the names of the links. Its parameters behind `$1` are added to those that there are.
    pub(super) fn sql(&self, values: &mut Vec<Value>) -> String {
        let (table, terms) = self.terms();
        let mut place = |nth: usize, (condition, value): Term| {
            if nth == 0 {
                return condition.replace('?', "$1");
            }
            values.push(value.into());
            condition.replace('?', &format!("${}", values.len()))
        };
        let conditions: Vec<String> =
            terms.into_iter().enumerate().map(|(nth, term)| place(nth, term)).collect();
        format!("select link from {table} where {}", conditions.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(selection: &Selection) -> (String, Vec<Value>) {
        let mut values = vec![selection.first().into(), Value::from(7)];
        (selection.sql(&mut values), values)
    }

    #[test]
    fn parameters_follow_those_that_there_are() {
        let selection = Selection {
            owner: "ann".parse().ok(),
            tag: "x".parse().ok(),
            domain: "go.example".parse().ok(),
        };
        let values = ["go.example/", "go.example0"].map(Value::from);
        let expected = [Value::from("ann"), 7.into(), "x".into()].into_iter().chain(values);
        assert_eq!(
            sql(&selection),
            (
                "select link from {link_directory.tags} where owner = $1 and tag = $3 \
                 and link >= $4 and link < $5"
                    .to_owned(),
                expected.collect()
            )
        );
    }

    #[test]
    fn nothing_narrows_to_everything() {
        let (sql, values) = sql(&Selection::default());
        assert_eq!(sql, "select link from {link_directory.links} where link >= $1");
        assert_eq!(values, ["".into(), Value::from(7)]);
    }
}
