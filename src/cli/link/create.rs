//! `hoplog link create`.

use std::io;

use clap::Args;
use serde_json::Value;

use super::fields::Fields;
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::table::{cell, plain, print_json};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Where the link leads
    url: String,
    /// The code you choose [default: a random one]
    #[arg(long)]
    alias: Option<String>,
    /// The domain it lives on, one of `hoplog domain list` [default: the service's own]
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Answer with your own live link to the same URL, if there is one
    #[arg(long)]
    reuse: bool,
    /// Change your own link with this external id, if there is one; what is not given stays as it is
    #[arg(long, requires = "external_id", conflicts_with = "reuse")]
    upsert: bool,
    /// Leave it out of lists from the start
    #[arg(long)]
    archived: bool,
}

impl Create {
    /// Creates the link and prints its short URL. What the owner should know of the destination
    /// goes to stderr, so that a script that takes the URL takes nothing else.
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        out: &mut Out,
    ) -> Result<(), CliError> {
        let link = client.post(&["links"], &self.body()?).await?;
        if json {
            return Ok(print_json(&link, out)?);
        }
        writeln!(out, "{}", cell(&link["shortUrl"]))?;
        warn(&link, &mut io::stderr())
    }

    pub(super) fn body(self) -> Result<Value, CliError> {
        let mut body = self.fields.body()?;
        body.insert("url".to_owned(), self.url.into());
        if let Some(alias) = self.alias {
            body.insert("alias".to_owned(), alias.into());
        }
        if let Some(domain) = self.domain {
            body.insert("domain".to_owned(), domain.into());
        }
        for (name, is_set) in
            [("reuse", self.reuse), ("upsert", self.upsert), ("archived", self.archived)]
        {
            if is_set {
                body.insert(name.to_owned(), true.into());
            }
        }
        Ok(body.into())
    }
}

fn warn(link: &Value, err: &mut impl io::Write) -> Result<(), CliError> {
    for warning in link["warnings"].as_array().into_iter().flatten() {
        writeln!(err, "warning: {}", plain(&cell(&warning["detail"])))?;
    }
    Ok(())
}
