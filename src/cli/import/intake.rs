//! What all sources have in common: their links come in in batches, each once, and everything that stands in the way
//! is told.
//!
//! A link is known by its code and by what the source says of it: the idempotency key is made of that, so a second
//! run, or one behind a run that was killed, finds what is there. What is in hoplog is never changed by an import:
//! where the source says something else, that is a conflict.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bulk::{self, Outcome};
use super::item::Item;
use super::past::Past;
use crate::cli::client::Client;
use crate::cli::error::{CliError, FieldProblem, Problem};
use crate::cli::{Out, table};

/// Links that are taken at once.
pub(super) use super::bulk::BATCH_LINKS;

/// How long it takes until a server that is busy is asked again: twice as long each time, up to a bound.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// Takes links in.
pub(super) struct Intake<'a> {
    pub(super) client: &'a Client,
    pub(super) is_dry: bool,
    pub(super) bar: ProgressBar,
    /// Where each code stood first, and a hash of what was said of it and of its domain.
    seen: HashMap<String, (String, u64)>,
    /// How often links without a code were asked for alike.
    alike: HashMap<u64, u64>,
    summary: Summary,
}

/// What became of everything.
#[derive(Debug, Default)]
struct Summary {
    links: u64,
    created: u64,
    known: u64,
    conflicts: Vec<Value>,
    left: BTreeMap<String, u64>,
}

/// What became of one link.
enum Verdict {
    Created,
    Known,
    Conflict(String),
}

impl<'a> Intake<'a> {
    pub(super) fn new(client: &'a Client, is_dry: bool, bar: ProgressBar) -> Self {
        let (seen, alike, summary) = (HashMap::new(), HashMap::new(), Summary::default());
        Self { client, is_dry, bar, seen, alike, summary }
    }

    /// Takes links, at most [`BATCH_LINKS`]; gives the places of those that are here now.
    pub(super) async fn take(&mut self, items: &[Item]) -> Result<Vec<usize>, CliError> {
        let mut asked = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            self.summary.links += 1;
            for what in &item.left {
                *self.summary.left.entry(what.clone()).or_default() += 1;
            }
            match self.alone(item) {
                Ok(true) => asked.push((place, self.request(item))),
                Ok(false) => self.summary.known += 1,
                Err(reason) => self.conflict(item, &reason)?,
            }
        }
        let mut here = Vec::with_capacity(asked.len());
        for (place, outcome) in self.outcomes(asked).await? {
            let item = &items[place];
            match self.verdict(item, outcome).await? {
                Verdict::Created => self.summary.created += 1,
                Verdict::Known => self.summary.known += 1,
                Verdict::Conflict(reason) => {
                    self.conflict(item, &reason)?;
                    continue;
                }
            }
            here.push(place);
        }
        Ok(here)
    }

    /// What becomes of requests, each with its place. A server that is busy, or away from its log, is no conflict: it
    /// is asked again for those links, and if that does not pass the import ends.
    async fn outcomes(
        &self,
        mut asked: Vec<(usize, Value)>,
    ) -> Result<Vec<(usize, Outcome)>, CliError> {
        let (mut outcomes, mut pause) = (Vec::with_capacity(asked.len()), PAUSE_MIN);
        while !asked.is_empty() {
            let bodies: Vec<Value> = asked.iter().map(|(_, body)| body.clone()).collect();
            let answered = bulk::try_create(self.client, &bodies, self.is_dry).await?;
            let (mut again, mut last) = (Vec::new(), None);
            for ((place, body), outcome) in asked.into_iter().zip(answered) {
                if outcome.status == 429 || outcome.status >= 500 {
                    last = outcome.problem;
                    again.push((place, body));
                } else {
                    outcomes.push((place, outcome));
                }
            }
            if !again.is_empty() {
                if pause > PAUSE_MAX {
                    return Err(last.unwrap_or_default().into());
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            asked = again;
        }
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes)
    }

    /// Whether a link can come in, as far as its source tells; `false`: it was told before, word for word.
    fn alone(&mut self, item: &Item) -> Result<bool, String> {
        if let Some(reason) = &item.refused {
            return Err(reason.clone());
        }
        let Some(code) = item.code() else { return Ok(true) };
        // The same code of another domain is another link, with visitors of its own.
        let host = item.host.as_ref().map(|host| host.to_ascii_lowercase());
        let content = content(item) ^ hash(&host);
        match self.seen.get(code) {
            None => {
                self.seen.insert(code.to_owned(), (item.place.clone(), content));
                Ok(true)
            }
            Some((_, same)) if *same == content => Ok(false),
            Some((first, _)) => {
                Err(format!("the source has this code twice: it is that of {first} already"))
            }
        }
    }

    /// The request for a link: the same in every run.
    fn request(&mut self, item: &Item) -> Value {
        let mut body = item.body.clone();
        // The key is a hash that is no secret: what is in it could be guessed.
        let password = body.remove("password");
        let text = Value::from(body.clone()).to_string();
        // Without codes, links that are asked for alike are as many links.
        let occurrence = if item.code().is_some() {
            0
        } else {
            let count = self.alike.entry(content(item)).or_default();
            *count += 1;
            *count - 1
        };
        let key = bulk::key(&[b"moving", text.as_bytes(), &occurrence.to_be_bytes()]);
        body.extend(password.map(|password| ("password".to_owned(), password)));
        body.insert("idempotencyKey".to_owned(), key.into());
        body.into()
    }

    async fn verdict(&self, item: &Item, outcome: Outcome) -> Result<Verdict, CliError> {
        let Some(problem) = outcome.problem else {
            let code = outcome.link.as_ref().map(|link| &*link.code).or(item.code());
            if let Some(code) = code.filter(|_| item.is_disabled && !self.is_dry) {
                self.disable(code, outcome.replayed).await?;
            }
            return Ok(if outcome.replayed { Verdict::Known } else { Verdict::Created });
        };
        let reason = || Verdict::Conflict(reason(&problem));
        match (&*problem.code, item.code()) {
            ("code_taken", Some(code)) => self.compare(item, code).await,
            ("external_id_taken", _) => {
                Ok(self.with_external_id(item).await?.unwrap_or_else(reason))
            }
            _ => Ok(reason()),
        }
    }

    /// Switches a link off that is off at its source. One that was here is left to whoever changed it since.
    async fn disable(&self, code: &str, was_here: bool) -> Result<(), CliError> {
        if was_here {
            let link = self.client.get(&["links", code], &[]).await?;
            if link["state"] == "disabled" || link["version"] != 1 {
                return Ok(());
            }
        }
        self.client.post(&["links", code, "disable"], &json!({})).await.map(|_| ())
    }

    /// Whether the link that has a code is the one that is meant.
    async fn compare(&self, item: &Item, code: &str) -> Result<Verdict, CliError> {
        match self.client.get(&["links", code], &[]).await {
            Ok(link) => Ok(compared(item, &link)),
            Err(CliError::Problem(problem)) if problem.status == 410 => {
                Ok(Verdict::Conflict("the code is that of a link that was deleted".to_owned()))
            }
            Err(CliError::Problem(problem)) if problem.status == 404 => {
                Ok(Verdict::Conflict("the code is taken by somebody else's link".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn with_external_id(&self, item: &Item) -> Result<Option<Verdict>, CliError> {
        let Some(id) = item.body.get("externalId").and_then(Value::as_str) else { return Ok(None) };
        let query = [("externalId", id), ("archived", "include"), ("domain", "default")];
        let found = self.client.list(&["links"], &query, 1).await?;
        let same_code = |link: &&Value| item.code().is_none_or(|code| link["code"] == code);
        Ok(found.first().filter(same_code).map(|link| compared(item, link)))
    }

    fn conflict(&mut self, item: &Item, reason: &str) -> Result<(), CliError> {
        let (place, code) = (table::one_line(&item.place), item.code());
        let named = code.map(|code| format!(" ({})", table::one_line(code))).unwrap_or_default();
        self.bar.suspend(|| writeln!(std::io::stderr(), "conflict: {place}{named}: {reason}"))?;
        self.summary.conflicts.push(json!({"place": place, "code": code, "reason": reason}));
        Ok(())
    }

    /// Tells what became of everything. An import that met conflicts has failed; what came in stays.
    pub(super) fn finish(
        self,
        past: Option<&Past>,
        as_json: bool,
        out: &mut Out,
    ) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        let Summary { links, created, known, conflicts, left } = &self.summary;
        let count = conflicts.len();
        if as_json {
            let mut summary = json!({
                "dryRun": self.is_dry, "links": links, "created": created, "known": known,
                "conflicts": conflicts, "left": left,
            });
            if let Some(past) = past {
                summary["clicks"] = past.summary();
            }
            table::print_json(&summary, out)?;
        } else {
            let would = if self.is_dry { "would be " } else { "" };
            writeln!(
                out,
                "{links} links: {created} {would}created, {known} known, {count} in conflict"
            )?;
            if let Some(past) = past {
                writeln!(out, "{}", past.told(self.is_dry))?;
            }
            for (what, count) in left {
                writeln!(out, "left aside: {} ({count} times)", table::one_line(what))?;
            }
        }
        out.flush()?;
        let conflicts = (count > 0).then(|| format!("{count} links are in conflict"));
        let failed: Vec<String> = conflicts.into_iter().chain(past.and_then(Past::lost)).collect();
        if failed.is_empty() { Ok(()) } else { Err(CliError::Failed(failed.join(", "))) }
    }
}

/// Why the server would not have a link: what is wrong with each field.
fn reason(problem: &Problem) -> String {
    if problem.errors.is_empty() {
        return table::one_line(&problem.detail);
    }
    let field = |error: &FieldProblem| {
        let name = error.pointer.rsplit('/').next().unwrap_or_default();
        // What people know as the code is asked for as an alias.
        let name = if name == "alias" { "the code" } else { name };
        format!("{name} {}", error.detail)
    };
    table::one_line(&problem.errors.iter().map(field).collect::<Vec<_>>().join("; "))
}

fn compared(item: &Item, link: &Value) -> Verdict {
    let differences = item.differences(link);
    if differences.is_empty() {
        return Verdict::Known;
    }
    let url = table::one_line(link["url"].as_str().unwrap_or_default());
    if differences.contains(&"url") {
        return Verdict::Conflict(format!("the code is taken by a link to {url}"));
    }
    Verdict::Conflict(format!("the link is here and has another {}", differences.join(", ")))
}

fn content(item: &Item) -> u64 {
    hash(&Value::from(item.body.clone()).to_string())
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
