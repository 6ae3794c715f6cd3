//! Which of its destinations a link leads a visitor to.

use std::borrow::Cow;

use hoplog_events::link::{Destination, Extras, Rule};

use super::rules::{Visitor, first_that_holds};

/// One of the destinations of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The link's own.
    #[default]
    Url,
    /// That of the rule at this place, from 0.
    Rule(u8),
}

impl Choice {
    /// Where a visitor is led: the first rule that holds says so, or the link itself.
    #[must_use]
    pub fn of(extras: &Extras, visitor: &impl Visitor) -> Self {
        let rule = first_that_holds(&extras.rules, visitor);
        rule.and_then(|place| u8::try_from(place).ok()).map_or(Self::Url, Self::Rule)
    }

    /// The destination, of a link with this one of its own.
    #[must_use]
    pub fn destination<'a>(
        self,
        url: &'a Destination,
        extras: Option<&'a Extras>,
    ) -> &'a Destination {
        self.rule_of(extras).map_or(url, |rule| &rule.url)
    }

    /// What clicks say of the rule: its name, or its number (from 1); `None`: no rule held.
    #[must_use]
    pub fn rule(self, extras: Option<&Extras>) -> Option<Cow<'_, str>> {
        let (Self::Rule(place), rule) = (self, self.rule_of(extras)?) else { return None };
        let number = || Cow::Owned((u16::from(place) + 1).to_string());
        Some(rule.name.as_ref().map_or_else(number, |name| Cow::Borrowed(name.as_str())))
    }

    fn rule_of(self, extras: Option<&Extras>) -> Option<&Rule> {
        let Self::Rule(place) = self else { return None };
        extras?.rules.as_slice().get(usize::from(place))
    }
}
