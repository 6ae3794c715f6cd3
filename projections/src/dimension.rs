//! What clicks can be told apart by.

/// A dimension of the statistics. The numbers are written into tables and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Dimension {
    /// All clicks; the value is always empty.
    Total = 0,
    /// human, bot, preview, prefetch or head.
    Class = 1,
    /// ISO 3166 code; empty when unknown.
    Country = 2,
    /// Empty when unknown.
    Region = 3,
    /// Empty when unknown.
    City = 4,
    /// desktop, mobile, tablet, bot or other.
    Device = 5,
    /// The browser's name.
    Browser = 6,
    /// The operating system's name.
    System = 7,
    /// The referring host; empty: direct.
    Referrer = 8,
    /// The whole referrer; empty: direct.
    ReferrerUrl = 9,
    /// The first preferred language; empty when unknown.
    Language = 10,
    /// Only clicks that have one.
    UtmSource = 11,
    /// Only clicks that have one.
    UtmMedium = 12,
    /// Only clicks that have one.
    UtmCampaign = 13,
    /// Only clicks that have one.
    UtmTerm = 14,
    /// Only clicks that have one.
    UtmContent = 15,
    /// The variant of a link's split; only clicks that were led to one.
    Variant = 16,
    /// The rule of a link; only clicks that one led.
    Rule = 17,
}

impl Dimension {
    /// Every dimension, by its number.
    pub const ALL: [Dimension; 18] = [
        Self::Total,
        Self::Class,
        Self::Country,
        Self::Region,
        Self::City,
        Self::Device,
        Self::Browser,
        Self::System,
        Self::Referrer,
        Self::ReferrerUrl,
        Self::Language,
        Self::UtmSource,
        Self::UtmMedium,
        Self::UtmCampaign,
        Self::UtmTerm,
        Self::UtmContent,
        Self::Variant,
        Self::Rule,
    ];

    /// The number in the tables.
    pub(crate) fn number(self) -> i64 {
        i64::from(self as u8)
    }

    /// The dimension with a number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }

    /// The name in requests; `None`: not a dimension to filter by.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Total => return None,
            Self::Class => "class",
            Self::Country => "country",
            Self::Region => "region",
            Self::City => "city",
            Self::Device => "device",
            Self::Browser => "browser",
            Self::System => "system",
            Self::Referrer => "referrer",
            Self::ReferrerUrl => "referrerUrl",
            Self::Language => "language",
            Self::UtmSource => "utm_source",
            Self::UtmMedium => "utm_medium",
            Self::UtmCampaign => "utm_campaign",
            Self::UtmTerm => "utm_term",
            Self::UtmContent => "utm_content",
            Self::Variant => "variant",
            Self::Rule => "rule",
        })
    }

    /// The column of the clicks that holds the value.
    pub(crate) fn column(self) -> Option<&'static str> {
        match self {
            Self::ReferrerUrl => Some("referrer_url"),
            other => other.name(),
        }
    }

    /// Whether a click is counted whose value is empty, or is not.
    pub(crate) fn counts(self, empty: bool) -> bool {
        !empty || !self.skips_empty()
    }

    /// Whether a click without a value is left out of the breakdown.
    fn skips_empty(self) -> bool {
        matches!(
            self,
            Self::Region
                | Self::City
                | Self::UtmSource
                | Self::UtmMedium
                | Self::UtmCampaign
                | Self::UtmTerm
                | Self::UtmContent
                | Self::Variant
                | Self::Rule
        )
    }
}

/// A click's value in each dimension, by the dimension's number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values<'a>([&'a str; Dimension::ALL.len()]);

impl<'a> Values<'a> {
    pub(crate) fn set(&mut self, dimension: Dimension, value: &'a str) {
        self.0[dimension as usize] = value;
    }

    /// The dimensions in which the click is counted, with its values.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (Dimension, &'a str)> {
        let all = Dimension::ALL.into_iter().zip(self.0);
        all.filter(|(dimension, value)| dimension.counts(value.is_empty()))
    }
}
