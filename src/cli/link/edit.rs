//! `hoplog link edit`.

use clap::{Args, ValueEnum};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Map, Value};

use super::fields::Fields;
use crate::cli::client::{Client, json};
use crate::cli::error::CliError;

#[derive(Debug, Args)]
pub(super) struct Edit {
    /// The code of the link
    code: String,
    /// Where the link leads from now on
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Fields to empty, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELDS")]
    clear: Vec<Clearable>,
    /// Change it only if it is still at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clearable {
    Expiry,
    Redirect,
    Title,
    Tags,
    Note,
    ExternalId,
    ValidFrom,
    ExpiredUrl,
    ForwardQuery,
    MaxClicks,
    Rules,
    Split,
    Preview,
    Password,
    Utm,
}

impl Edit {
    /// A merge patch: `null` clears a field.
    pub(super) fn patch(self) -> Result<Value, CliError> {
        let (mut patch, mut cleared) = (self.fields.body()?, Map::new());
        if let Some(url) = self.url {
            patch.insert("url".to_owned(), url.into());
        }
        for field in self.clear {
            if let Some(given) = field.names().iter().find(|name| patch.contains_key(**name)) {
                let wrong = format!("{given} can't be given a value and be cleared at once");
                return Err(CliError::Usage(wrong));
            }
            cleared.insert(field.names()[0].to_owned(), Value::Null);
        }
        patch.append(&mut cleared);
        Ok(patch.into())
    }

    /// Sends the patch and gives the link as it is then.
    pub(super) async fn send(self, client: &Client) -> Result<Value, CliError> {
        let mut request = client.request(Method::PATCH, &["links", &self.code])?;
        if let Some(version) = self.if_version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let patch = self.patch()?;
        if patch.as_object().is_some_and(Map::is_empty) {
            return Err(CliError::Usage("nothing to change: name a field".to_owned()));
        }
        json(request.json(&patch)).await
    }
}

impl Clearable {
    /// The fields of the API that set it; the first of them clears it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Clearable::Expiry => &["expiresAt", "expiresIn"],
            Clearable::Redirect => &["redirect"],
            Clearable::Title => &["title"],
            Clearable::Tags => &["tags"],
            Clearable::Note => &["note"],
            Clearable::ExternalId => &["externalId"],
            Clearable::ValidFrom => &["validFrom"],
            Clearable::ExpiredUrl => &["expiredUrl"],
            Clearable::ForwardQuery => &["forwardQuery"],
            Clearable::MaxClicks => &["maxClicks"],
            Clearable::Rules => &["rules"],
            Clearable::Split => &["split"],
            Clearable::Preview => &["preview"],
            Clearable::Password => &["password"],
            Clearable::Utm => &["utm"],
        }
    }
}
