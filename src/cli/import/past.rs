//! Clicks of other programs, recorded at their own times, each once.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::client::Client;
use crate::cli::error::{CliError, Problem};
use crate::cli::table;
use crate::clicks::import::click_time;
use crate::clock::Clock;

mod told;

/// Clicks in one request, as many as the server takes.
const BATCH_CLICKS: usize = 1_000;

/// Clicks that are no such thing and are told one by one; further ones are only counted.
const BAD_TOLD: u64 = 100;

/// A click of the past.
#[derive(Debug, Default, Clone)]
pub(super) struct PastClick {
    pub(super) code: String,
    /// When, as the source writes it.
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) user_agent: String,
    pub(super) referrer: String,
    pub(super) address: String,
    pub(super) country: String,
    /// What the source calls it; without a name it is known by what it says.
    pub(super) name: Option<String>,
}

/// Sends clicks.
pub(super) struct Past {
    client: Client,
    source: String,
    started: DateTime<Utc>,
    waiting: Vec<Value>,
    /// How often clicks of one link without names were told alike.
    alike: HashMap<[u8; 8], u32>,
    added: u64,
    known: u64,
    bad: u64,
    /// Codes that no link has, and how many clicks they had.
    without_link: BTreeMap<String, u64>,
    /// Clicks that a dry run did not look at.
    pub(super) foreseen: u64,
    /// Clicks that the source only counts.
    pub(super) only_counted: u64,
    /// Why the source gives none.
    pub(super) refused: Option<String>,
}

impl Past {
    /// `source`: names where they come from, the same in every run.
    pub(super) fn new(client: &Client, source: String) -> Self {
        Self {
            client: client.clone(),
            source,
            started: Clock::system().now(),
            waiting: Vec::with_capacity(BATCH_CLICKS),
            alike: HashMap::new(),
            added: 0,
            known: 0,
            bad: 0,
            without_link: BTreeMap::new(),
            foreseen: 0,
            only_counted: 0,
            refused: None,
        }
    }

    /// The last second that was over when this run began: what happened in it does not become more.
    pub(super) fn whole_second_before(&self) -> DateTime<Utc> {
        self.started - TimeDelta::seconds(1)
    }

    /// The clicks of another link follow.
    pub(super) fn next_link(&mut self) {
        self.alike.clear();
    }

    /// Takes a click; it is sent with others.
    pub(super) async fn take(
        &mut self,
        click: PastClick,
        bar: &ProgressBar,
    ) -> Result<(), CliError> {
        let reason = match click.at {
            None => Some("its time can't be read"),
            Some(at) => click_time(at, self.started).err(),
        };
        if let Some(reason) = reason {
            self.bad += 1;
            if self.bad <= BAD_TOLD {
                let code = table::one_line(&click.code);
                bar.suspend(|| writeln!(std::io::stderr(), "a click of {code}: {reason}"))?;
            }
            return Ok(());
        }
        let id = self.import_id(&click);
        self.waiting.push(body(&click, &id));
        if self.waiting.len() == BATCH_CLICKS {
            self.send().await?;
        }
        Ok(())
    }

    /// What the server knows a click by.
    fn import_id(&mut self, click: &PastClick) -> String {
        if let Some(name) = &click.name {
            return short(&[b"name", name.as_bytes()]).1;
        }
        let at = click.at.map(|at| at.timestamp_micros()).unwrap_or_default().to_be_bytes();
        // Not the country and the address: sources look the one up later and drop the other, and it is the same click.
        let text = [&click.code, &click.user_agent, &click.referrer];
        let mut parts: Vec<&[u8]> = vec![b"said", &at];
        parts.extend(text.iter().map(|text| text.as_bytes()));
        let occurrence = self.alike.entry(short(&parts).0).or_default();
        let number = occurrence.to_be_bytes();
        *occurrence += 1;
        parts.push(&number);
        short(&parts).1
    }

    /// Sends what waits. Clicks of codes that no link has are left out: they must not keep the others away.
    pub(super) async fn send(&mut self) -> Result<(), CliError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        loop {
            waiting.retain(|click| !self.is_without_link(click));
            if waiting.is_empty() {
                return Ok(());
            }
            let body = json!({"source": self.source, "clicks": waiting});
            match self.client.post(&["clicks", "import"], &body).await {
                Ok(answer) => return self.count(&answer),
                Err(CliError::Problem(problem)) => {
                    let codes = codes_without_link(&problem, &waiting);
                    if codes.is_empty() {
                        return Err(CliError::Problem(problem));
                    }
                    for code in codes {
                        self.without_link.entry(code).or_default();
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a click is of a code that no link has; counts it.
    fn is_without_link(&mut self, click: &Value) -> bool {
        let count = click["code"].as_str().and_then(|code| self.without_link.get_mut(code));
        count.map(|count| *count += 1).is_some()
    }

    fn count(&mut self, answer: &Value) -> Result<(), CliError> {
        let count = |name: &str| {
            let missing = || CliError::Answer(format!("no {name} in the answer"));
            answer[name].as_u64().ok_or_else(missing)
        };
        self.added += count("added")?;
        self.known += count("known")?;
        Ok(())
    }
}

/// The codes that a refusal is about, if they are all that it is about.
fn codes_without_link(problem: &Problem, clicks: &[Value]) -> Vec<String> {
    if problem.errors.iter().any(|error| error.code != "link_not_found") {
        return Vec::new();
    }
    let code = |pointer: &str| {
        let place: usize = pointer.strip_prefix("/clicks/")?.strip_suffix("/code")?.parse().ok()?;
        clicks.get(place)?["code"].as_str().map(str::to_owned)
    };
    problem.errors.iter().filter_map(|error| code(&error.pointer)).collect()
}

/// A hash of parts, each with its length before it.
fn short(parts: &[&[u8]]) -> ([u8; 8], String) {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let first = hash.finalize().first_chunk().copied().unwrap_or_default();
    (first, format!("{:016x}", u64::from_be_bytes(first)))
}

fn body(click: &PastClick, id: &str) -> Value {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let country = click.country.to_ascii_uppercase();
    let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut body = json!({
        "code": click.code,
        "at": click.at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        "importId": id,
        "userAgent": said(&click.user_agent),
        "referrer": said(&click.referrer),
        "address": click.address.parse::<IpAddr>().ok(),
        "country": Some(country).filter(|_| is_country),
    });
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

#[cfg(test)]
mod tests;
