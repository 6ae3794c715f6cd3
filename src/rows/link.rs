//! The fields of links in files. What a link has is listed here once; exports write it, imports read it.

use hoplog_events::link::SERVICE_DOMAIN;
use serde_json::{Map, Value};

use super::{Column, Form, Table, cell};

/// How a cell becomes a value of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it stands.
    Text,
    /// Several texts.
    Tags,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// As the API has it, in JSON.
    Json,
    /// The domain before the code; nothing where that is the service's own.
    Domain,
}

/// A field of a link.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The column; also the field of the API, where it has the same name.
    pub name: &'static str,
    /// Where an answer of the API has it; `None`: it is written only.
    pointer: Option<&'static str>,
    /// How an import reads it; `None`: it says how the link was, and is left aside.
    kind: Option<Kind>,
}

const fn both(name: &'static str, pointer: &'static str, kind: Kind) -> Field {
    Field { name, pointer: Some(pointer), kind: Some(kind) }
}

const fn told(name: &'static str, pointer: &'static str) -> Field {
    Field { name, pointer: Some(pointer), kind: None }
}

const fn asked(name: &'static str) -> Field {
    Field { name, pointer: None, kind: Some(Kind::Text) }
}

/// The field that says of which domain a link is, also where the service's own has another host.
const ID: &str = "id";

/// Every field there is. A new one needs a line here and nothing else.
pub const FIELDS: &[Field] = &[
    both("code", "/code", Kind::Text),
    both(ID, "/id", Kind::Domain),
    both("url", "/url", Kind::Text),
    both("title", "/title", Kind::Text),
    both("tags", "/tags", Kind::Tags),
    both("note", "/note", Kind::Text),
    both("externalId", "/externalId", Kind::Text),
    both("redirect", "/redirect", Kind::Number),
    both("expiresAt", "/expiresAt", Kind::Text),
    both("validFrom", "/validFrom", Kind::Text),
    both("expiredUrl", "/expiredUrl", Kind::Text),
    both("archived", "/archived", Kind::Flag),
    both("forwardQuery", "/forwardQuery", Kind::Text),
    both("forwardPath", "/forwardPath", Kind::Flag),
    both("maxClicks", "/maxClicks", Kind::Number),
    both("rules", "/rules", Kind::Json),
    both("split", "/split", Kind::Json),
    both("preview", "/preview", Kind::Json),
    told("clicksLeft", "/clicksLeft"),
    told("hasPassword", "/hasPassword"),
    told("state", "/state"),
    told("shortUrl", "/shortUrl"),
    told("createdAt", "/createdAt"),
    told("owner", "/owner"),
    told("clicks", "/clicks/total"),
    told("humanClicks", "/clicks/humans"),
    told("botClicks", "/clicks/bots"),
    // Only for those who write such a file themselves.
    asked("alias"),
    asked("domain"),
    asked("password"),
    asked("utmSource"),
    asked("utmMedium"),
    asked("utmCampaign"),
    asked("utmTerm"),
    asked("utmContent"),
];

/// The field of a name.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Whether a name is that of a field that a request for a link may have.
#[must_use]
pub fn is_asked(name: &str) -> bool {
    let kind = field(name).and_then(|field| field.kind);
    // The host that another service calls its own says nothing of where a link is to live here.
    kind.is_some() && !matches!(name, "code" | ID | "domain") && !name.starts_with("utm")
}

/// The table that links are exported as.
#[must_use]
pub fn table(form: Form) -> Table {
    let columns = FIELDS
        .iter()
        .filter_map(|field| field.pointer.map(|pointer| Column { name: field.name, pointer }));
    Table::new(columns.collect(), form)
}

/// The body of a request for a link that a row of cells asks for: what they say, without those that are empty. A cell
/// that is no number or flag is left as it is: the server says what is wrong with it.
#[must_use]
pub fn body<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let (mut body, mut utm) = (Map::new(), Map::new());
    for (column, cell) in cells {
        let text = &*cell::plain(cell);
        let Some(kind) = field(column).and_then(|field| field.kind) else { continue };
        if text.is_empty() {
            continue;
        }
        if let Some(name) = column.strip_prefix("utm") {
            utm.insert(name.to_ascii_lowercase(), text.into());
            continue;
        }
        let name = match column {
            "code" => "alias",
            ID => "domain",
            column => column,
        };
        // Whoever writes a domain beside the id of an export wants the link there, whichever column is first.
        if column == ID && body.contains_key("domain") {
            continue;
        }
        let value = kind.value(text);
        if !value.is_null() || kind == Kind::Json {
            body.insert(name.to_owned(), value);
        }
    }
    if !utm.is_empty() {
        body.insert("utm".to_owned(), utm.into());
    }
    body
}

impl Kind {
    fn value(self, text: &str) -> Value {
        match self {
            Kind::Text => text.into(),
            Kind::Tags => cell::tags(text).into(),
            // Spreadsheets write flags in capital letters.
            Kind::Flag => text.to_ascii_lowercase().parse().map_or(text.into(), Value::Bool),
            Kind::Number => text.parse::<u64>().map_or(text.into(), Value::from),
            Kind::Domain => match text.split_once('/') {
                Some((domain, _)) if domain != SERVICE_DOMAIN => domain.into(),
                _ => Value::Null,
            },
            Kind::Json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_becomes_what_the_api_takes() {
        let cells = [
            ("code", "'-a"),
            ("url", " https://e.com/ "),
            ("tags", "x; y"),
            ("archived", "true"),
            ("maxClicks", "many"),
            ("redirect", "301"),
            ("rules", r#"[{"when": {}}]"#),
            ("split", "null"),
            ("note", ""),
            ("id", "go.example/-a"),
            ("state", "disabled"),
            ("utmSource", "mail"),
        ];
        let expected = json!({
            "alias": "-a", "domain": "go.example", "url": "https://e.com/", "tags": ["x", "y"], "archived": true,
            "maxClicks": "many", "redirect": 301, "rules": [{"when": {}}], "split": null, "utm": {"source": "mail"},
        });
        assert_eq!(Value::from(body(cells.into_iter())), expected);
    }

    #[test]
    fn a_domain_goes_before_that_of_an_id_in_whichever_order() {
        let (id, domain) = (("id", "old.example/a"), ("domain", "new.example"));
        for cells in [[id, domain], [domain, id]] {
            assert_eq!(Value::from(body(cells.into_iter())), json!({ "domain": "new.example" }));
        }
        let cells = [("domain", ""), id];
        assert_eq!(Value::from(body(cells.into_iter())), json!({ "domain": "old.example" }));
    }
}
