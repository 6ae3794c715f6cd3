//! What the columns of a CSV file mean, whichever program wrote it.
//!
//! - Shlink's web client: createdAt, title, shortUrl, domain, shortCode, longUrl, tags (separated by `|`), visits
//!   (<https://github.com/shlinkio/shlink-web-component>, `ExportableShortUrl`)
//! - YOURLS, a table written out as CSV: keyword, url, title, timestamp, ip, clicks
//!   (<https://github.com/YOURLS/YOURLS>, `includes/functions-install.php`)
//! - Bitly's export of links: the short link, the long URL, title, tags and numbers, under names that have changed over
//!   the years (<https://dev.bitly.com/api-reference>, exports of a group)
//! - our own (`hoplog export links`)

use csv::StringRecord;
use serde_json::{Map, Value};

use super::item::Item;
use crate::cli::error::CliError;
use crate::rows::{Standing, cell, link};

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// A field of links.
    Field(&'static str),
    /// The whole short link: its last part is the code.
    ShortUrl,
    /// The domain of the short link.
    Domain,
    /// How the link was there: nothing to take over, and nothing lost.
    Told,
    /// Nothing that is known here.
    Unknown(String),
}

/// Other names of fields, as they are when only their letters and digits are left.
const NAMES: &[(&str, &[&str])] = &[
    (
        "url",
        &[
            "longurl",
            "originalurl",
            "destination",
            "destinationurl",
            "target",
            "targeturl",
            "longlink",
        ],
    ),
    (
        "code",
        &[
            "keyword",
            "shortcode",
            "slug",
            "customslug",
            "backhalf",
            "custombackhalf",
            "key",
            "address",
        ],
    ),
    ("title", &["name", "linktitle"]),
    ("note", &["description", "comments", "comment", "notes"]),
    ("tags", &["tag", "labels"]),
    ("externalId", &["externalid"]),
    ("expiresAt", &["validuntil", "expires", "expirationdate", "expirydate"]),
    ("validFrom", &["validsince"]),
    ("maxClicks", &["maxvisits"]),
];

const SHORT_URLS: &[&str] = &["shorturl", "shortlink", "bitlink", "link", "shortenedurl"];

const DOMAINS: &[&str] = &["domain", "host"];

/// What tells how a link was: when it was made, by whom, how often it was followed.
const TOLD: &[&str] = &[
    "created",
    "createdat",
    "createddate",
    "datecreated",
    "creationdate",
    "timestamp",
    "date",
    "visits",
    "visitcount",
    "totalclicks",
    "clicks",
    "engagements",
    "totalengagements",
    "ip",
    "creator",
    "createdby",
];

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Columns {
    meanings: Vec<Meaning>,
    /// Shlink separates tags by what may be part of them elsewhere.
    bars: bool,
}

impl Columns {
    /// Reads the first row. `given`: what the user says that columns are, as a field and the name of a column.
    pub(super) fn new(head: &StringRecord, given: &[(String, String)]) -> Result<Self, CliError> {
        for (field, column) in given {
            if link::field(field).is_none() {
                let known: Vec<&str> = link::FIELDS.iter().map(|field| field.name).collect();
                let known = known.join(", ");
                return Err(CliError::Usage(format!(
                    "{field:?} is no field of a link; known are {known}"
                )));
            }
            if !head.iter().any(|name| clean(name) == column) {
                return Err(CliError::Usage(format!("the file has no column {column:?}")));
            }
        }
        let is_given = |field: &str| given.iter().any(|(it, _)| is_same(it, field));
        let meaning = |name: &str| {
            let given = given.iter().find(|(_, column)| column == clean(name));
            if let Some(field) = given.and_then(|(field, _)| link::field(field)) {
                return Meaning::Field(field.name);
            }
            match meaning(clean(name)) {
                // What somebody says goes before what is guessed.
                Meaning::Field(field) if is_given(field) => {
                    Meaning::Unknown(clean(name).to_owned())
                }
                guessed => guessed,
            }
        };
        let meanings: Vec<Meaning> = head.iter().map(meaning).collect();
        each_once(head, &meanings)?;
        if !meanings.contains(&Meaning::Field("url")) {
            let named = head.iter().collect::<Vec<_>>().join(", ");
            return Err(CliError::Usage(format!(
                "none of the columns ({named}) is known to be a URL; say which with --column url=NAME"
            )));
        }
        let names: Vec<String> = head.iter().map(letters).collect();
        let has = |name: &str| names.iter().any(|column| column == name);
        Ok(Self {
            meanings,
            bars: has("longurl") && has("shorturl") && has("visits") && has("createdat"),
        })
    }

    /// The link of a row; `None`: it is of another domain than the one that is asked for.
    pub(super) fn item(
        &self,
        record: &StringRecord,
        place: String,
        domain: Option<&str>,
    ) -> Option<Item> {
        let mut item = Item { place, ..Item::default() };
        let (mut cells, mut short) = (Vec::new(), None);
        let (mut host, mut stood) = (None, Vec::new());
        for (meaning, cell) in self.meanings.iter().zip(record) {
            match meaning {
                Meaning::Field(name @ ("hasPassword" | "state" | "clicksLeft")) => {
                    stood.push((*name, cell));
                }
                Meaning::Field("tags") if self.bars => item.set("tags", bars(cell)),
                Meaning::Field(name) => cells.push((*name, cell)),
                Meaning::ShortUrl => short = Some(cell::plain(cell).into_owned()),
                Meaning::Domain => {
                    host = Some(cell::plain(cell).into_owned()).filter(|it| !it.is_empty());
                }
                Meaning::Told => {}
                Meaning::Unknown(name) => item.leave(&format!("column {name}"), !cell.is_empty()),
            }
        }
        let (code, its_host) = short.as_deref().map(parts).unwrap_or_default();
        item.host = host.or(its_host);
        let is_of =
            |wanted| item.host.as_ref().is_some_and(|host| host.eq_ignore_ascii_case(wanted));
        if domain.is_some_and(|wanted| !is_of(wanted)) {
            return None;
        }
        take_over(&mut item, link::body(cells.into_iter()));
        if let Some(code) = code.filter(|_| item.code().is_none()) {
            item.set("alias", code);
        }
        item.stood(&Standing::of_cells(stood.into_iter()));
        Some(item)
    }
}

/// Whether two names are of one field: what people know as the code is asked for as an alias.
fn is_same(one: &str, other: &str) -> bool {
    let name = |name| if name == "alias" { "code" } else { name };
    name(one) == name(other)
}

/// Of two columns for one field nobody can tell which is meant.
fn each_once(head: &StringRecord, meanings: &[Meaning]) -> Result<(), CliError> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for (name, meaning) in head.iter().zip(meanings) {
        let Meaning::Field(field) = meaning else { continue };
        if let Some((_, first)) = fields.iter().find(|(it, _)| is_same(it, field)) {
            return Err(CliError::Usage(format!(
                "both columns {first:?} and {:?} are taken for {field}; say which with --column {field}=NAME",
                clean(name)
            )));
        }
        fields.push((field, clean(name)));
    }
    Ok(())
}

/// Takes over what a body says, in the forms that are understood here.
pub(super) fn take_over(item: &mut Item, body: Map<String, Value>) {
    for (name, value) in body {
        match (name.as_str(), &value) {
            ("title", Value::String(text)) => item.set_title(text),
            ("note", Value::String(text)) => item.set_note(text),
            ("expiresAt" | "validFrom", Value::String(text)) => item.set_instant(&name, text),
            _ => item.set(&name, value),
        }
    }
}

/// The code and the host of a short link, with or without its scheme.
pub(super) fn parts(short: &str) -> (Option<String>, Option<String>) {
    let bare = short.split_once("://").map_or(short, |(_, rest)| rest);
    let bare = bare.split(['?', '#']).next().unwrap_or_default();
    match bare.trim_end_matches('/').split_once('/') {
        Some((host, code)) => (Some(code.to_owned()), Some(host.to_owned())),
        None => (None, Some(bare.to_owned())),
    }
}

fn bars(cell: &str) -> Vec<String> {
    let cell = cell::plain(cell);
    let tags = cell.split('|').map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(str::to_owned).collect()
}

fn clean(name: &str) -> &str {
    name.trim_start_matches('\u{feff}').trim()
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn meaning(name: &str) -> Meaning {
    let letters = letters(name);
    let is_one_of = |names: &[&str]| names.contains(&&*letters);
    if is_one_of(SHORT_URLS) {
        return Meaning::ShortUrl;
    }
    // All links come to the service's own domain.
    if name == "id" {
        return Meaning::Told;
    }
    if let Some(field) = link::field(name).filter(|_| !is_one_of(DOMAINS)) {
        return Meaning::Field(field.name);
    }
    let other = NAMES
        .iter()
        .find(|(field, names)| is_one_of(names) || field.eq_ignore_ascii_case(&letters));
    match other {
        Some((field, _)) => Meaning::Field(field),
        None if is_one_of(DOMAINS) => Meaning::Domain,
        None if is_one_of(TOLD) => Meaning::Told,
        None => Meaning::Unknown(name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
