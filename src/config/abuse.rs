//! What the settings say against abuse.

use std::time::Duration;

use super::parse::{choice, within, wrong};
use super::{RawSettings, SettingsError};
use crate::blocklist::BlockListSettings;
use crate::domain::link::REPORTS_MAX;

/// How often block lists are looked at unless the settings say otherwise: every five minutes.
const RELOAD_DEFAULT: Duration = Duration::from_mins(5);

/// The longest time between two looks: a day.
const RELOAD_S_MAX: u64 = 86_400;

/// The most lists: each is looked at for each destination.
const SOURCES_MAX: usize = 16;

/// What is done against abuse.
#[derive(Debug, Clone)]
pub struct AbuseSettings {
    /// Where no link may lead.
    pub blocklist: BlockListSettings,
    /// Whether browsers are told where a link in quarantine would lead.
    pub quarantine_warns: bool,
    /// How many reports put a link in quarantine; 0: none does.
    pub reports_to_quarantine: u32,
}

impl AbuseSettings {
    pub(super) fn of(raw: &RawSettings) -> Result<Self, SettingsError> {
        let words = [("451", false), ("warn", true)];
        let quarantine = raw.quarantine.as_deref();
        Ok(Self {
            blocklist: blocklist(raw)?,
            reports_to_quarantine: reports(raw)?,
            quarantine_warns: choice("HOPLOG_QUARANTINE", quarantine, &words, "451, warn")?,
        })
    }
}

fn reports(raw: &RawSettings) -> Result<u32, SettingsError> {
    let (name, given) = ("HOPLOG_REPORTS_TO_QUARANTINE", raw.reports_to_quarantine.clone());
    Ok(within(name, given, 0..=REPORTS_MAX, "whole numbers from 0 to 100")?.unwrap_or(0))
}

fn blocklist(raw: &RawSettings) -> Result<BlockListSettings, SettingsError> {
    let allowed = "up to 16 paths of files and http or https URLs, with commas";
    let text = raw.blocklist.as_deref().unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let sources = parts.map(str::parse).collect::<Result<Vec<_>, _>>();
    let sources = sources.ok().filter(|sources| sources.len() <= SOURCES_MAX);
    let Some(sources) = sources else { return wrong("HOPLOG_BLOCKLIST", text, allowed) };
    let (name, allowed) = ("HOPLOG_BLOCKLIST_RELOAD", "whole seconds from 1 to 86400");
    let reload = within(name, raw.blocklist_reload.clone(), 1..=RELOAD_S_MAX, allowed)?;
    let reload = reload.map_or(RELOAD_DEFAULT, Duration::from_secs);
    Ok(BlockListSettings { sources, reload })
}
