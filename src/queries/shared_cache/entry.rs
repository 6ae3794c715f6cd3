//! How values are written in the shared cache. Whoever changes a form gives its keys another
//! number, so that nodes of two versions don't misread each other.
//!
//! A link is a JSON object with one letter for each field: `u` URL, `o` owner, `r` redirect
//! status, `s` state, `x` expiry and `c` creation in microseconds since 1970, `v` version, `e` what most
//! links do without. Clicks are two numbers of 8 bytes, highest first: of people, of bots.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, Extras, LinkKey, OwnerId, RedirectStatus};
use hoplog_events::position::Version;
use hoplog_projections::click_statistics::ClickTotals;
use serde::{Deserialize, Serialize};

use crate::cache::Form;
use crate::queries::resolve_link::Target;

/// How links are written.
#[derive(Debug)]
pub(super) struct LinkForm;

impl Form<LinkKey, Arc<Target>> for LinkForm {
    fn write(&self, target: &Arc<Target>) -> Option<Vec<u8>> {
        encode_link(target)
    }

    fn read(&self, key: &LinkKey, bytes: &[u8]) -> Option<Arc<Target>> {
        decode_link(key, bytes).map(Arc::new)
    }
}

/// A link's value. The key is known to whoever asks.
#[derive(Serialize, Deserialize)]
struct StoredLink<'a> {
    #[serde(rename = "u")]
    url: Destination,
    #[serde(rename = "o")]
    owner: OwnerId,
    #[serde(rename = "r")]
    redirect: RedirectStatus,
    #[serde(rename = "s")]
    state: &'a str,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(rename = "c")]
    created_at: i64,
    #[serde(rename = "v")]
    version: Version,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    extras: Option<Box<Extras>>,
}

/// `None` never happens: every part of a link can be written as JSON.
fn encode_link(target: &Target) -> Option<Vec<u8>> {
    let stored = StoredLink {
        url: target.url.clone(),
        owner: target.owner.clone(),
        redirect: target.redirect,
        state: target.state.name(),
        expires_at: target.expires_at.map(|at| at.timestamp_micros()),
        created_at: target.created_at.timestamp_micros(),
        version: target.version,
        extras: target.extras.clone(),
    };
    serde_json::to_vec(&stored).ok()
}

/// `None`: not a link's value.
fn decode_link(key: &LinkKey, value: &[u8]) -> Option<Target> {
    let stored: StoredLink<'_> = serde_json::from_slice(value).ok()?;
    let expires_at = match stored.expires_at {
        Some(at) => Some(DateTime::from_timestamp_micros(at)?),
        None => None,
    };
    Some(Target {
        key: key.clone(),
        owner: stored.owner,
        location: Bytes::copy_from_slice(stored.url.as_str().as_bytes()),
        url: stored.url,
        redirect: stored.redirect,
        state: stored.state.parse().ok()?,
        expires_at,
        extras: stored.extras,
        created_at: DateTime::<Utc>::from_timestamp_micros(stored.created_at)?,
        version: stored.version,
    })
}

pub(super) fn encode_totals(totals: ClickTotals) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&totals.humans.to_be_bytes());
    value[8..].copy_from_slice(&totals.bots.to_be_bytes());
    value
}

/// `None`: not the value of clicks.
pub(super) fn decode_totals(value: &[u8]) -> Option<ClickTotals> {
    let (humans, bots) = value.split_first_chunk()?;
    let (humans, bots) = (u64::from_be_bytes(*humans), u64::from_be_bytes(bots.try_into().ok()?));
    Some(ClickTotals { total: humans.checked_add(bots)?, humans, bots })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::link::LinkState;

    fn target() -> Target {
        Target {
            key: "default/a".parse().unwrap(),
            owner: "ann".parse().unwrap(),
            url: "https://example.com/?q=%22".parse().unwrap(),
            location: "https://example.com/?q=%22".into(),
            redirect: RedirectStatus::PermanentRedirect,
            state: LinkState::Disabled,
            expires_at: DateTime::from_timestamp_micros(1_800_000_000_123_456),
            extras: None,
            created_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
            version: Version(7),
        }
    }

    /// The form that other nodes read: a change needs another number in the key.
    #[test]
    fn a_link_is_written_in_the_form_of_version_7() {
        let value = encode_link(&target()).unwrap();
        let text = r#"{"u":"https://example.com/?q=%22","o":"ann","r":308,"s":"disabled","x":1800000000123456,"c":1700000000000001,"v":7}"#;
        assert_eq!(String::from_utf8(value).unwrap(), text);
        assert_eq!(decode_link(&target().key, text.as_bytes()), Some(target()));
        let endless = Target { expires_at: None, ..target() };
        let value = encode_link(&endless).unwrap();
        assert_eq!(decode_link(&endless.key, &value), Some(endless));
        let extras = Extras { valid_from: target().expires_at, ..Extras::default() };
        let scheduled = Target { extras: Some(Box::new(extras)), ..target() };
        let value = encode_link(&scheduled).unwrap();
        let text = String::from_utf8(value.clone()).unwrap();
        assert!(
            text.ends_with(r#","v":7,"e":{"validFrom":"2027-01-15T08:00:00.123456Z"}}"#),
            "{text}"
        );
        assert_eq!(decode_link(&scheduled.key, &value), Some(scheduled));
    }

    #[test]
    fn what_is_not_a_link_is_not_read_as_one() {
        let whole = encode_link(&target()).unwrap();
        for cut in 0..whole.len() {
            assert_eq!(decode_link(&target().key, &whole[..cut]), None, "{cut}");
        }
        let text = String::from_utf8(whole).unwrap();
        for (part, other) in [
            ("https://example.com", "javascript:alert(1)//"),
            ("disabled", "asleep"),
            ("308", "200"),
            ("\"ann\"", "\"\""),
            ("1800000000123456", "9223372036854775807"),
            ("\"v\":7", "\"w\":7"),
        ] {
            assert!(text.contains(part));
            let broken = text.replace(part, other);
            assert_eq!(decode_link(&target().key, broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn clicks_are_two_numbers_of_64_bits() {
        let totals = ClickTotals { total: (1 << 40) + 5, humans: 1 << 40, bots: 5 };
        assert_eq!(decode_totals(&encode_totals(totals)), Some(totals));
        assert_eq!(decode_totals(&[0; 15]), None);
        assert_eq!(decode_totals(&[0; 17]), None);
        assert_eq!(decode_totals(&[255; 16]), None);
    }
}
