//! What the settings say of titles of pages.

use super::parse::{choice, wrong};
use super::{RawSettings, SettingsError};
use crate::titles::TitleSettings;
use crate::webhooks::targets::Targets;

pub(super) fn titles(raw: &RawSettings) -> Result<TitleSettings, SettingsError> {
    let words = [("false", false), ("true", true)];
    let fetch = choice("HOPLOG_FETCH_TITLES", raw.fetch_titles.as_deref(), &words, "true, false")?;
    let text = raw.fetch_titles_allow.as_deref().unwrap_or_default();
    let allowed = "networks such as 10.1.0.0/16,fd00::/8, or private";
    let targets = Targets::parse(text);
    let targets = targets.or_else(|_| wrong("HOPLOG_FETCH_TITLES_ALLOW", text, allowed))?;
    Ok(TitleSettings { fetch, targets })
}
