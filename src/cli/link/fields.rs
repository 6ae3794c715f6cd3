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
    /// What becomes of the query of visitors: append it to the destination's, or override
    #[arg(long, value_name = "HOW")]
    forward_query: Option<String>,
    /// Whether paths behind the code go behind the destination: true or false
    #[arg(long, value_name = "BOOL")]
    forward_path: Option<bool>,
    #[command(flatten)]
    utm: Utm,
}

/// The campaign fields of the destination.
#[derive(Debug, Args)]
struct Utm {
    /// Where visitors come from (a parameter of the destination)
    #[arg(long = "utm-source", value_name = "TEXT")]
    source: Option<String>,
    /// How they come, such as email
    #[arg(long = "utm-medium", value_name = "TEXT")]
    medium: Option<String>,
    /// What for
    #[arg(long = "utm-campaign", value_name = "TEXT")]
    campaign: Option<String>,
    /// The word that was paid for
    #[arg(long = "utm-term", value_name = "TEXT")]
    term: Option<String>,
    /// Which of several links it was
    #[arg(long = "utm-content", value_name = "TEXT")]
    content: Option<String>,
}

impl Utm {
    /// The fields that were given; `None`: none of them.
    fn body(self) -> Option<Value> {
        let given = [
            ("source", self.source),
            ("medium", self.medium),
            ("campaign", self.campaign),
            ("term", self.term),
            ("content", self.content),
        ];
        let given =
            given.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        let given: Map<String, Value> = given.collect();
        (!given.is_empty()).then(|| given.into())
    }
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
            ("forwardQuery", self.forward_query.map(Value::from)),
            ("forwardPath", self.forward_path.map(Value::from)),
            ("utm", self.utm.body()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}
