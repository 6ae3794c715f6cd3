//! `hoplog link list`.

use clap::Args;

use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::table::{Table, cell, count, link_name, print_json};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only links with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only links on this domain
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    /// Only links in this state: active, scheduled, disabled, expired, quarantined, deleted
    #[arg(long)]
    state: Option<String>,
    /// Links that are put away: exclude, include, only [default: exclude]
    #[arg(long, value_name = "WHICH")]
    archived: Option<String>,
    /// Only links with this name in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only links with this text in their code, URL or title
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    /// Order: createdAt (the oldest first), -createdAt, code, or -clicks (the most clicked first)
    /// [default: -createdAt]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    /// How many links at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(super) async fn print(
        self,
        client: &Client,
        json: bool,
        out: &mut Out,
    ) -> Result<(), CliError> {
        let links = client.list(&["links"], &self.query(), self.limit).await?;
        if json {
            return Ok(print_json(&links.into(), out)?);
        }
        let mut table = Table::new(&["CODE", "STATE", "CLICKS", "CREATED", "URL"], &[2]);
        for link in &links {
            let clicks = link["clicks"]["total"].as_u64().unwrap_or(0);
            let [state, created, url] = ["state", "createdAt", "url"].map(|name| cell(&link[name]));
            table.row([link_name(link), state, count(clicks), created, url]);
        }
        Ok(table.print(out)?)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        let given = [
            ("tag", self.tag.as_deref()),
            ("domain", self.domain.as_deref()),
            ("state", self.state.as_deref()),
            ("archived", self.archived.as_deref()),
            ("externalId", self.external_id.as_deref()),
            ("q", self.query.as_deref()),
            ("sort", self.sort.as_deref()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
