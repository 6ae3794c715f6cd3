//! What both a new and an old link can be given.

use clap::Args;
use serde_json::{Map, Value};

/// What both a new and an old link can be given.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// How long it lives, such as 90m, 12h, 7d, 2w
    #[arg(long, conflicts_with = "expires_at", value_name = "DURATION")]
    expires_in: Option<String>,
    /// The instant from which it is not served, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// The status of the redirect: 301, 302, 307 or 308
    #[arg(long, value_name = "STATUS")]
    redirect: Option<u16>,
    /// A name for people
    #[arg(long)]
    title: Option<String>,
    /// A label to find it by; give it several times for several (an edit replaces all)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Free text
    #[arg(long)]
    note: Option<String>,
    /// Its name in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The instant before which it is answered as if there were no such link
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Where it leads once it has expired
    #[arg(long, value_name = "URL")]
    expired_url: Option<String>,
}

impl Fields {
    /// The fields that were given.
    pub(super) fn body(self) -> Map<String, Value> {
        let given = [
            ("expiresIn", self.expires_in.map(Value::from)),
            ("expiresAt", self.expires_at.map(Value::from)),
            ("redirect", self.redirect.map(Value::from)),
            ("title", self.title.map(Value::from)),
            ("tags", Some(self.tags).filter(|tags| !tags.is_empty()).map(Value::from)),
            ("note", self.note.map(Value::from)),
            ("externalId", self.external_id.map(Value::from)),
            ("validFrom", self.valid_from.map(Value::from)),
            ("expiredUrl", self.expired_url.map(Value::from)),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}
