//! Creating many links: `POST /api/v1/links/bulk`, each link under an idempotency key of its own.

use hoplog_events::hex::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::client::Client;
use crate::cli::error::{CliError, Problem};

/// Links in one request. The server takes 10,000; a tenth of it makes progress visible.
pub(super) const BATCH_LINKS: usize = 1_000;

/// What became of one link.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    /// 201: it is there now. Anything else: see the problem.
    pub(super) status: u16,
    /// The link, if there is one.
    pub(super) link: Option<Created>,
    /// What was wrong with it.
    pub(super) problem: Option<Problem>,
    /// Whether it was there already, made by the same command.
    #[serde(default)]
    pub(super) replayed: bool,
}

/// What an import needs to know about a link.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    /// The code of the link.
    pub(super) code: String,
}

/// Creates links; the outcomes stand in the order of the links.
pub(super) async fn create(client: &Client, links: &[Value]) -> Result<Vec<Outcome>, CliError> {
    create_under(&key_of(links), client, links).await
}

/// Made of the keys of the links, which leave passwords out: headers are written down in places where bodies are not.
pub(super) fn key_of(links: &[Value]) -> String {
    let keys: Vec<&[u8]> = links
        .iter()
        .map(|link| link["idempotencyKey"].as_str().unwrap_or_default().as_bytes())
        .collect();
    key(&keys)
}

/// Creates links, or changes those that are there: what was done in an earlier run is done again.
pub(super) async fn upsert(client: &Client, links: &[Value]) -> Result<Vec<Outcome>, CliError> {
    // The same in all attempts of this request, and no other's.
    create_under(&key(&[Uuid::now_v7().as_bytes()]), client, links).await
}

async fn create_under(
    key: &str,
    client: &Client,
    links: &[Value],
) -> Result<Vec<Outcome>, CliError> {
    let mut answer = client.post_once(&["links", "bulk"], &json!({ "links": links }), key).await?;
    let outcomes: Vec<Outcome> = serde_json::from_value(answer["results"].take())?;
    if outcomes.len() == links.len() {
        Ok(outcomes)
    } else {
        let (asked, answered) = (links.len(), outcomes.len());
        Err(CliError::Answer(format!("{answered} results for {asked} links")))
    }
}

/// An idempotency key made of what it stands for.
pub(super) fn key(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With its length before it, a part can't be taken for the end of another.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("import-{}", hex(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_parts_apart() {
        let keys = [key(&[b"a", b"bc"]), key(&[b"ab", b"c"]), key(&[b"abc"]), key(&[b"abc", b""])];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key(&[b"a", b"bc"]), keys[0]);
    }
}
