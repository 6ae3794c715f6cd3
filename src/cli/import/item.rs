//! A link as a source tells it, in the words of the API.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use hoplog_events::link::Destination;
use serde_json::{Map, Value};

use crate::rows::Standing;

/// The longest title and note, in characters: what is beyond is left aside.
const TITLE_CHARS_MAX: usize = 255;
const NOTE_CHARS_MAX: usize = 2_000;

/// A link that is to come in.
#[derive(Debug, Default)]
pub(super) struct Item {
    /// Where it stands in its source, for people.
    pub(super) place: String,
    /// The domain that its code is of, if the source tells.
    pub(super) host: Option<String>,
    /// What is asked of the API.
    pub(super) body: Map<String, Value>,
    /// Whether it is switched off there.
    pub(super) is_disabled: bool,
    /// Why it can't come in, as far as the source tells.
    pub(super) refused: Option<String>,
    /// Whether `maxClicks` is what is left of them: another number in the next run.
    pub(super) is_rest: bool,
    /// What the source says and a link here has no place for.
    pub(super) left: Vec<String>,
}

impl Item {
    /// A link of a code.
    pub(super) fn new(place: String, code: &str, url: &str) -> Self {
        let mut item = Self { place, ..Self::default() };
        item.set("alias", code);
        item.set("url", url);
        item
    }

    /// The code it wants.
    pub(super) fn code(&self) -> Option<&str> {
        self.body.get("alias").and_then(Value::as_str)
    }

    /// Sets a field, unless the value says nothing.
    pub(super) fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let says_nothing = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !says_nothing {
            self.body.insert(field.to_owned(), value);
        }
    }

    /// Sets a name for people; line ends become spaces.
    pub(super) fn set_title(&mut self, text: &str) {
        let text = text.split(|c: char| c.is_control()).collect::<Vec<_>>().join(" ");
        let text = self.cut(text.trim(), TITLE_CHARS_MAX, "the end of the title");
        self.set("title", text);
    }

    /// Sets free text.
    pub(super) fn set_note(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n");
        let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        let text: String = text.chars().filter(is_kept).collect();
        let text = self.cut(text.trim(), NOTE_CHARS_MAX, "the end of the note");
        self.set("note", text);
    }

    /// Sets an instant as some programs write it; what is none is for the server to refuse.
    pub(super) fn set_instant(&mut self, field: &str, text: &str) {
        self.set(field, instant(text).unwrap_or_else(|| text.to_owned()));
    }

    fn cut(&mut self, text: &str, chars_max: usize, what: &str) -> String {
        let end = text.char_indices().nth(chars_max).map_or(text.len(), |(end, _)| end);
        self.leave(what, end < text.len());
        text[..end].trim_end().to_owned()
    }

    /// Notes something that the source says and that can't come in.
    pub(super) fn leave(&mut self, what: &str, is_said: bool) {
        if is_said {
            self.left.push(what.to_owned());
        }
    }

    /// Notes why it can't come in; the first reason counts.
    pub(super) fn refuse(&mut self, reason: &str) {
        self.refused.get_or_insert_with(|| reason.to_owned());
    }

    /// A link that asks for a password must not come in without: everybody could follow it.
    pub(super) fn needs_password(&mut self, is_protected: bool) {
        if is_protected && !self.body.contains_key("password") {
            self.refuse("asks for a password, which its source does not tell; create it by hand");
        }
    }

    /// Takes over how a link of ours stood.
    pub(super) fn stood(&mut self, standing: &Standing) {
        self.needs_password(standing.is_protected);
        self.is_disabled = standing.state == "disabled";
        if !standing.is_open() && !self.is_disabled {
            self.refuse(&format!(
                "was {}; only links that were active, scheduled or disabled come in",
                standing.state
            ));
        }
        if let Some(left) = standing.clicks_left {
            self.set_clicks_left(left);
        }
    }

    /// Sets how many clicks are left: moving does not give a link its clicks again.
    pub(super) fn set_clicks_left(&mut self, left: u64) {
        if left == 0 {
            self.refuse("has had all the clicks that it may have");
        }
        self.set("maxClicks", left);
        self.is_rest = true;
    }

    /// In which fields a link that is there differs. One that is open here is not the one that is protected or off
    /// at its source.
    pub(super) fn differences(&self, link: &Value) -> Vec<&str> {
        let differs = |(name, wanted): &(&String, &Value)| {
            let actual = &link[name.as_str()];
            match name.as_str() {
                "alias" => false,
                "password" => link["hasPassword"] != true,
                // How many are left, and of how many, depends on when each side was asked.
                "maxClicks" if self.is_rest => actual.is_null(),
                "url" if self.body.contains_key("utm") => {
                    base(wanted).as_deref() != base(actual).as_deref()
                }
                "url" | "expiredUrl" => destination(wanted) != destination(actual),
                "expiresAt" | "validFrom" => time(wanted) != time(actual),
                "tags" => sorted(wanted) != sorted(actual),
                "utm" => wanted.as_object().is_some_and(|fields| {
                    fields.iter().any(|(field, value)| !value.is_null() && actual[field] != *value)
                }),
                _ => *wanted != actual,
            }
        };
        let is_open_here = self.is_disabled && link["state"] != "disabled";
        let fields = self.body.iter().filter(differs).map(|(name, _)| name.as_str());
        fields.chain(is_open_here.then_some("state")).collect()
    }
}

/// A time of another program in RFC 3339; without an offset it is taken as UTC.
pub(super) fn instant(text: &str) -> Option<String> {
    time_of(text).map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A time of another program.
pub(super) fn time_of(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    // Bitly leaves the colon of the offset out.
    if let Ok(at) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(at.to_utc());
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some(at.and_utc());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}

/// A URL as the server stores it.
fn destination(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    Some(text.parse::<Destination>().map_or_else(|_| text.to_owned(), String::from))
}

fn base(value: &Value) -> Option<String> {
    destination(value).map(|url| url.split(['?', '#']).next().unwrap_or_default().to_owned())
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str().and_then(time_of)
}

fn sorted(value: &Value) -> Vec<&str> {
    let mut tags: Vec<&str> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

#[cfg(test)]
mod tests;
