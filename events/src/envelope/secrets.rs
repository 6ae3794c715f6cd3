//! What is in events and for nobody who reads the stream.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{RecordedEvent, Wire};

impl RecordedEvent {
    pub(super) fn has_secret(&self) -> bool {
        let is_one_of = |kinds: &[&str]| kinds.iter().any(|kind| self.event_type.starts_with(kind));
        is_one_of(&SECRETIVE) || (is_one_of(&PERHAPS_SECRETIVE) && self.names_a_hash())
    }

    /// Looks at the bytes: in a text of somebody's the quotes would have a backslash before them.
    fn names_a_hash(&self) -> bool {
        let name = format!("\"{PASSWORD_HASH}\"");
        self.body.windows(name.len()).any(|bytes| bytes == name.as_bytes())
    }

    pub(super) fn without_secret(&self) -> Result<String, serde_json::Error> {
        let mut wire: Wire<'_> = serde_json::from_slice(&self.body)?;
        let mut data: Map<String, Value> = serde_json::from_str(wire.data.get())?;
        data.remove(SECRET);
        if let Some(hash) = data.remove(PASSWORD_HASH) {
            data.insert(HAS_PASSWORD.to_owned(), (!hash.is_null()).into());
        }
        wire.data = Cow::Owned(serde_json::value::to_raw_value(&data)?);
        serde_json::to_string(&wire)
    }
}

/// Changes the schema of data with a secret: who reads the stream sees it without.
pub(crate) fn may_lack_secret(schema: &mut schemars::Schema) {
    may_lack(schema, SECRET);
}

fn may_lack(schema: &mut schemars::Schema, name: &str) {
    if let Some(required) = schema.get_mut("required").and_then(|required| required.as_array_mut())
    {
        required.retain(|field| field != name);
    }
}

/// Changes the schema of data with the hash of a password: who reads the stream is told whether there is one.
pub(crate) fn may_lack_hash(schema: &mut schemars::Schema) {
    may_lack(schema, PASSWORD_HASH);
    let told = serde_json::json!({
        "description": "Whether there is a password: for those who read the stream, in the place of the hash.",
        "type": "boolean",
    });
    if let Some(fields) = schema.get_mut("properties").and_then(|fields| fields.as_object_mut()) {
        fields.insert(HAS_PASSWORD.to_owned(), told);
    }
}

/// How the types begin of events with a secret.
const SECRETIVE: [&str; 3] =
    ["hoplog.webhook.", "hoplog.code-secret.", "hoplog.link.password-changed."];

/// How the types begin of events that may have one. Most have none, and go out as they are.
const PERHAPS_SECRETIVE: [&str; 1] = ["hoplog.link.created."];

/// The field with what signs.
const SECRET: &str = "secret";

/// The field with the hash of a password.
const PASSWORD_HASH: &str = "passwordHash";

/// What is said in its place.
const HAS_PASSWORD: &str = "hasPassword";
