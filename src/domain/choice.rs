//! Which of its destinations a link leads a visitor to.

use std::borrow::Cow;

use hoplog_events::link::{Conditions, Destination, Extras, LinkKey, Rule, Variant};

use super::rules::{Visitor, first_that_holds};
use super::split::{VisitorOfLink, variant_of};

#[cfg(test)]
mod tests;

/// What clicks say of a query.
const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/// One of the destinations of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The link's own.
    #[default]
    Url,
    /// That of the rule at this place, from 0.
    Rule(u8),
    /// That of the variant at this place of the split, from 0.
    Variant(u8),
}

impl Choice {
    /// Where a visitor of a link is led: the first rule that holds says so, or the split, or the link itself.
    #[must_use]
    pub fn of(link: &LinkKey, extras: &Extras, visitor: &impl Visitor) -> Self {
        let number = |place: usize| u8::try_from(place).ok();
        if let Some(rule) = first_that_holds(&extras.rules, visitor).and_then(number) {
            return Self::Rule(rule);
        }
        if extras.split.is_empty() {
            return Self::Url;
        }
        let who = VisitorOfLink::new(link, visitor.address(), visitor.user_agent());
        variant_of(&extras.split, who).and_then(number).map_or(Self::Url, Self::Variant)
    }

    /// The destination, where it is another than the link's own.
    #[must_use]
    pub fn elsewhere(self, extras: Option<&Extras>) -> Option<&Destination> {
        match self {
            Self::Url => None,
            Self::Rule(_) => self.rule_of(extras).map(|rule| &rule.url),
            Self::Variant(_) => self.variant_of(extras)?.url.as_ref(),
        }
    }

    /// What clicks say of the rule: its name, or its number (from 1); `None`: no rule held, or clicks must not tell which.
    #[must_use]
    pub fn rule(self, extras: Option<&Extras>) -> Option<Cow<'_, str>> {
        let (Self::Rule(place), rule) = (self, self.rule_of(extras)?) else { return None };
        if asks_for_more_than_clicks_say(&rule.when) {
            return None;
        }
        let number = || Cow::Owned((u16::from(place) + 1).to_string());
        Some(rule.name.as_ref().map_or_else(number, |name| Cow::Borrowed(name.as_str())))
    }

    /// Whether clicks may tell where the visitor was led.
    #[must_use]
    pub fn is_told(self, extras: Option<&Extras>) -> bool {
        self.rule_of(extras).is_none_or(|rule| !asks_for_more_than_clicks_say(&rule.when))
    }

    /// What clicks say of the variant: its name; `None`: none was chosen.
    #[must_use]
    pub fn variant(self, extras: Option<&Extras>) -> Option<&str> {
        self.variant_of(extras).map(|variant| variant.name.as_str())
    }

    fn rule_of(self, extras: Option<&Extras>) -> Option<&Rule> {
        let Self::Rule(place) = self else { return None };
        extras?.rules.as_slice().get(usize::from(place))
    }

    fn variant_of(self, extras: Option<&Extras>) -> Option<&Variant> {
        let Self::Variant(place) = self else { return None };
        extras?.split.as_slice().get(usize::from(place))
    }
}

/// Whether a rule is for visitors by more than their clicks have in any case: then its name, or the campaign of its
/// destination, would say that of whoever it led, for good: it is counted, also when it was forgotten who made the click.
fn asks_for_more_than_clicks_say(when: &Conditions) -> bool {
    // All are here, so that whoever adds one has to say on which side it is.
    let Conditions {
        address,
        query,
        country: _,
        region: _,
        city: _,
        device: _,
        system: _,
        browser: _,
        language: _,
        referrer: _,
        from: _,
        until: _,
        time: _,
        visitor: _,
    } = when;
    !address.is_empty() || query.keys().any(|name| !CAMPAIGN.contains(&name.as_str()))
}
