//! What operators do about a link: it is put in quarantine, and let out again.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Extras, LinkEvent, LinkState, Reason, Statement};

/// How many entries of block lists a link remembers that it was released from.
pub const ENTRIES_CLEARED_MAX: usize = 32;

/// Who found that a link has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FoundBy {
    /// An administrator.
    Operator,
    /// A block list: it has one of the link's destinations.
    Blocklist,
    /// So many visitors as the operator wants for that.
    Reports,
}

impl FoundBy {
    /// The name on the log and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Blocklist => "blocklist",
            Self::Reports => "reports",
        }
    }
}

/// The link leads nowhere until it is released, whatever else it is: switched off, expired, or neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkQuarantined {
    /// Why, for its owner.
    pub reason: Reason,
    /// Who found it.
    pub by: FoundBy,
    /// The entry of the block list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub entry: Option<Box<str>>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The link is what it would be without its quarantine, and its reports are dealt with. The entries of block lists that
/// it was found by, or had then, lead to no other quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkReleased {
    /// The entries of block lists that had a destination of the link when it was released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub entries: Vec<Box<str>>,
}

/// The owner of a link says why it should be released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkAppealed {
    /// What they say.
    pub text: Statement,
}

/// What harm a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportCategory {
    /// It asks for passwords that are none of its business.
    Phishing,
    /// It brings harmful programs.
    Malware,
    /// It is sent to people who do not want it.
    Spam,
    /// The text says it.
    Other,
}

/// Name one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be phishing, malware, spam or other")]
pub struct UnknownCategory;

impl FromStr for ReportCategory {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        match text {
            "phishing" => Ok(Self::Phishing),
            "malware" => Ok(Self::Malware),
            "spam" => Ok(Self::Spam),
            "other" => Ok(Self::Other),
            _ => Err(UnknownCategory),
        }
    }
}

/// Somebody says that the link does harm. Who they are is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkReported {
    /// What harm.
    pub category: ReportCategory,
    /// What else they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Statement>,
}

/// The quarantine that a link is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// How it began, as it was last said; with the entry that it was found by, also if that was said before.
    #[serde(flatten)]
    pub begun: LinkQuarantined,
    /// What its owner says against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appeal: Option<Statement>,
    /// The state that the link would have without.
    pub was: LinkState,
}

/// What operators have done about a link. No event says it: it is what they come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Oversight {
    /// The quarantine that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// The entries of block lists that it was released from, the latest last: not more than
    /// [`ENTRIES_CLEARED_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<Box<str>>,
    /// How often it was reported since it was created, or released.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reports: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Extras {
    /// The quarantine that the link is in.
    #[must_use]
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.oversight.as_ref()?.quarantine.as_ref()
    }

    fn quarantine_mut(&mut self) -> Option<&mut Quarantine> {
        self.oversight.as_mut()?.quarantine.as_mut()
    }

    /// The entries of block lists that lead to no quarantine of this link.
    #[must_use]
    pub fn cleared(&self) -> &[Box<str>] {
        self.oversight.as_ref().map_or(&[], |oversight| &oversight.cleared)
    }

    /// How often the link was reported since it was created, or released.
    #[must_use]
    pub fn reports(&self) -> u32 {
        self.oversight.as_ref().map_or(0, |oversight| oversight.reports)
    }

    /// The quarantine ends, if there is one.
    fn release(&mut self, entries: &[Box<str>]) -> Option<Quarantine> {
        let mut oversight = self.oversight.take().unwrap_or_default();
        let ended = oversight.quarantine.take();
        oversight.clear(ended.as_ref().and_then(|quarantine| quarantine.begun.entry.as_ref()));
        oversight.clear(entries);
        oversight.reports = 0;
        if *oversight != Oversight::default() {
            self.oversight = Some(oversight);
        }
        ended
    }
}

impl Oversight {
    fn clear<'a>(&mut self, entries: impl IntoIterator<Item = &'a Box<str>>) {
        for entry in entries {
            self.cleared.retain(|known| known != entry);
            self.cleared.push(entry.clone());
        }
        let oldest = self.cleared.len().saturating_sub(ENTRIES_CLEARED_MAX);
        self.cleared.drain(..oldest);
    }
}

impl Quarantine {
    /// Who gives another reason takes back neither what a block list has found, nor what the owner said.
    fn of(begun: &LinkQuarantined, before: Option<Self>, state: LinkState) -> Self {
        let mut begun = begun.clone();
        let Some(before) = before else { return Self { begun, appeal: None, was: state } };
        begun.entry = begun.entry.or(before.begun.entry);
        Self { begun, ..before }
    }
}

impl LinkState {
    /// What one more event makes of the state, and of the quarantine. What happens to a link in quarantine happens to
    /// the state that it has afterwards.
    pub fn apply(&mut self, extras: &mut Extras, event: &LinkEvent) {
        match event {
            LinkEvent::Quarantined(begun) => {
                let oversight = extras.oversight.get_or_insert_default();
                let before = oversight.quarantine.take();
                oversight.quarantine = Some(Quarantine::of(begun, before, *self));
                *self = Self::Quarantined;
            }
            LinkEvent::Released(released) => {
                if let Some(ended) = extras.release(&released.entries) {
                    *self = ended.was;
                }
            }
            LinkEvent::Appealed(appeal) => {
                if let Some(quarantine) = extras.quarantine_mut() {
                    quarantine.appeal = Some(appeal.text.clone());
                }
            }
            LinkEvent::Reported(_) => {
                let oversight = extras.oversight.get_or_insert_default();
                oversight.reports = oversight.reports.saturating_add(1);
            }
            LinkEvent::Deleted(_) | LinkEvent::Erased(_) => {
                extras.oversight = None;
                *self = Self::Deleted;
            }
            event => match extras.quarantine_mut() {
                Some(quarantine) => quarantine.was.follow(event),
                None => self.follow(event),
            },
        }
    }

    fn follow(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Disabled(_) => *self = Self::Disabled,
            LinkEvent::Enabled(_) => *self = Self::Active,
            LinkEvent::Expired(_) => *self = Self::Expired,
            LinkEvent::ExpiryChanged(_) if *self == Self::Expired => *self = Self::Active,
            _ => {}
        }
    }
}
