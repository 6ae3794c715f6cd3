//! What the settings say of visits that lead nowhere.

use chrono::Days;

use super::parse::{choice, within};
use super::{RawSettings, SettingsError};

/// How many are recorded on a day unless the settings say otherwise.
const PER_DAY_DEFAULT: u32 = 10_000;

/// The most that may be recorded on a day.
const PER_DAY_MAX: u32 = 100_000;

/// For how many days read models keep them unless the settings say otherwise.
const DAYS_DEFAULT: u64 = 90;

/// The longest that read models keep them, in days: ten years.
const DAYS_MAX: u64 = 3_650;

/// What is done with visits that lead nowhere.
#[derive(Debug, Clone)]
pub struct OrphanSettings {
    /// Whether they are recorded, or counted, at all.
    pub are_recorded: bool,
    /// How many this copy records on a day of UTC; it counts the others.
    pub per_day: u32,
    /// For how long read models keep them.
    pub kept: Days,
}

impl OrphanSettings {
    pub(super) fn of(raw: &RawSettings) -> Result<Self, SettingsError> {
        let words = [("on", true), ("off", false)];
        let (name, given) = ("HOPLOG_ORPHANS_PER_DAY", raw.orphans_per_day.clone());
        let allowed = "whole numbers from 0 to 100000";
        let per_day = within(name, given, 0..=PER_DAY_MAX, allowed)?;
        let (name, given) = ("HOPLOG_ORPHANS_DAYS", raw.orphans_days.clone());
        let days = within(name, given, 1..=DAYS_MAX, "whole numbers from 1 to 3650")?;
        Ok(Self {
            are_recorded: choice("HOPLOG_ORPHANS", raw.orphans.as_deref(), &words, "on, off")?,
            per_day: per_day.unwrap_or(PER_DAY_DEFAULT),
            kept: Days::new(days.unwrap_or(DAYS_DEFAULT)),
        })
    }
}
