//! `hoplog import access-log`: a link for each path of a site, a click for each line, at its own
//! time. The file is read once, in batches; only the paths and a short hash of each line stay in
//! memory (about 30 bytes a line).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::super::bar::progress;
use super::bulk::{self, Outcome};
use super::combined::Line;
use super::{LeavesOut, verdict};
use crate::cli::client::Client;
use crate::cli::error::{CliError, input};
use crate::cli::{Out, table};
use crate::clicks::import::click_time;
use crate::clock::Clock;

pub(super) const ABOUT: &str = "Record the clicks of an access log (combined format).

Each path of the log, with its query, becomes a link to the site; each line becomes a click on it, at its own time, with its address, referrer and user agent. Running it again adds nothing; a log that has grown adds its new lines. Lines that are no requests are listed and skipped; if all are, it has failed. Needs a key with the scope admin.";

/// Clicks in one request, as many as the server takes.
const BATCH_CLICKS: usize = 1_000;

/// Bad lines that are told one by one; further ones are only counted.
const BAD_LINES_TOLD: u64 = 100;

#[derive(Debug, Args)]
pub(super) struct AccessLogArgs {
    /// The access log
    file: PathBuf,
    /// The site the log is of, such as `https://www.example.com`
    #[arg(long, value_name = "URL")]
    site: Url,
}

/// Runs `hoplog import access-log`.
pub(super) async fn run(
    args: AccessLogArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let file = File::open(&args.file).map_err(|error| input(&args.file, &error))?;
    let length = file.metadata().map_err(|error| input(&args.file, &error))?.len();
    let site = site(&args.site)?;
    let mut import = Import::new(client, site, progress("bytes", length));
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            reader.read_until(b'\n', &mut line).map_err(|error| input(&args.file, &error))?;
        if read == 0 {
            break;
        }
        if line.ends_with(b"\n") {
            import.take(line.trim_ascii_end())?;
        } else {
            import.unfinished()?;
        }
        import.bar.inc(read as u64);
        if import.waiting.len() >= BATCH_CLICKS {
            import.send().await?;
        }
    }
    import.send().await?;
    import.bar.finish_and_clear();
    let summary = import.summary;
    summary.print(json, out)?;
    verdict("lines", summary.added + summary.known, summary.bad, LeavesOut::BadLines)
}

/// The origin every path is appended to.
fn site(url: &Url) -> Result<String, CliError> {
    if matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" {
        Ok(url.origin().ascii_serialization())
    } else {
        let allowed = "an origin such as https://www.example.com";
        Err(CliError::Usage(format!("--site is {url}; allowed: {allowed}")))
    }
}

/// A click that has not been sent, and the link it is of.
struct Waiting {
    line: u64,
    url: String,
    click: Value,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Summary {
    lines: u64,
    added: u64,
    known: u64,
    bad: u64,
}

struct Import<'a> {
    client: &'a Client,
    site: String,
    bar: ProgressBar,
    waiting: Vec<Waiting>,
    /// The code of each link, or why it can't be one.
    codes: HashMap<String, Result<String, String>>,
    /// How often each line has been seen: two requests in one second may look the same.
    seen: HashMap<u64, u32>,
    summary: Summary,
    started: DateTime<Utc>,
}

impl<'a> Import<'a> {
    fn new(client: &'a Client, site: String, bar: ProgressBar) -> Self {
        let (codes, seen) = (HashMap::new(), HashMap::new());
        let (waiting, summary) = (Vec::with_capacity(BATCH_CLICKS), Summary::default());
        let started = Clock::system().now();
        Self { client, site, bar, waiting, codes, seen, summary, started }
    }

    /// Reads one line; its click waits for the next batch.
    fn take(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.summary.lines += 1;
        let line = self.summary.lines;
        let import_id = self.import_id(bytes);
        let text = String::from_utf8_lossy(bytes);
        let parsed = match Line::parse(&text) {
            Ok(parsed) => parsed,
            Err(error) => return self.bad(line, &error.to_string()),
        };
        if let Err(reason) = click_time(parsed.at.to_utc(), self.started) {
            return self.bad(line, reason);
        }
        // As the server will store it, so that two spellings of one URL are one link.
        let url = match Url::parse(&format!("{}{}", self.site, parsed.target)) {
            Ok(url) => url.to_string(),
            Err(error) => return self.bad(line, &error.to_string()),
        };
        self.waiting.push(Waiting { line, url, click: click(&parsed, &import_id) });
        Ok(())
    }

    /// A last line that may still be written: half of it would be another line than the whole.
    fn unfinished(&mut self) -> Result<(), CliError> {
        self.summary.lines += 1;
        self.bad(self.summary.lines, "has no line end yet; import again when it has")
    }

    /// What the server knows a line by: its bytes, and which of its equals it is.
    fn import_id(&mut self, bytes: &[u8]) -> String {
        let hash = u64::from_be_bytes(first_8(&Sha256::digest(bytes)));
        let occurrence = self.seen.entry(hash).or_default();
        let numbered = [bytes, &occurrence.to_be_bytes()].concat();
        *occurrence += 1;
        format!("{:016x}", u64::from_be_bytes(first_8(&Sha256::digest(numbered))))
    }

    fn bad(&mut self, line: u64, reason: &str) -> Result<(), CliError> {
        self.summary.bad += 1;
        if self.summary.bad <= BAD_LINES_TOLD {
            let reason = table::plain(reason);
            self.bar.suspend(|| writeln!(std::io::stderr(), "line {line}: {reason}"))?;
        }
        Ok(())
    }

    /// Sends what waits: first the links that are new, then the clicks.
    async fn send(&mut self) -> Result<(), CliError> {
        self.create_links().await?;
        let mut clicks = Vec::with_capacity(self.waiting.len());
        for Waiting { line, url, mut click } in std::mem::take(&mut self.waiting) {
            match self.codes.get(&url) {
                Some(Ok(code)) => {
                    click["code"] = code.as_str().into();
                    clicks.push(click);
                }
                Some(Err(reason)) => {
                    let reason = reason.clone();
                    self.bad(line, &reason)?;
                }
                None => self.bad(line, "its link was not created")?,
            }
        }
        if clicks.is_empty() {
            return Ok(());
        }
        let body = json!({"source": self.site, "clicks": clicks});
        let answer = self.client.post(&["clicks", "import"], &body).await?;
        let count = |name: &str| {
            let missing = || CliError::Answer(format!("no {name} in the answer"));
            answer[name].as_u64().ok_or_else(missing)
        };
        self.summary.added += count("added")?;
        self.summary.known += count("known")?;
        Ok(())
    }

    async fn create_links(&mut self) -> Result<(), CliError> {
        let mut urls: Vec<&str> = self.waiting.iter().map(|waiting| &*waiting.url).collect();
        urls.retain(|url| !self.codes.contains_key(*url));
        urls.sort_unstable();
        urls.dedup();
        if urls.is_empty() {
            return Ok(());
        }
        let key = |url: &str| bulk::key(&[b"access-log", url.as_bytes()]);
        let links: Vec<Value> =
            urls.iter().map(|url| json!({"url": url, "idempotencyKey": key(url)})).collect();
        let outcomes = bulk::create(self.client, &links).await?;
        let codes = outcomes.into_iter().map(code);
        self.codes.extend(urls.into_iter().map(str::to_owned).zip(codes));
        Ok(())
    }
}

fn code(outcome: Outcome) -> Result<String, String> {
    let reason = || outcome.problem.map_or_else(|| "refused".to_owned(), |problem| problem.line());
    outcome.link.map(|link| link.code).ok_or_else(reason)
}

fn click(line: &Line<'_>, import_id: &str) -> Value {
    json!({
        "at": line.at.to_rfc3339(),
        "address": line.address,
        "method": line.method,
        "userAgent": line.user_agent,
        "referrer": line.referrer,
        "importId": import_id,
    })
}

fn first_8(hash: &[u8]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}

impl Summary {
    fn print(&self, as_json: bool, out: &mut Out) -> Result<(), CliError> {
        let Self { lines, added, known, bad } = self;
        if as_json {
            let summary = json!({"lines": lines, "added": added, "known": known, "bad": bad});
            table::print_json(&summary, out)?;
        } else {
            writeln!(
                out,
                "{lines} lines: {added} clicks added, {known} already known, {bad} bad lines"
            )?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::ServerArgs;

    const LINE: &[u8] =
        br#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a b HTTP/1.1" 200 1 "-" "A""#;

    fn with_import(test: impl FnOnce(&mut Import<'_>)) {
        let server = "http://127.0.0.1:1".parse().unwrap();
        let client = Client::new(ServerArgs { server, api_key: None }).unwrap();
        let site = "https://www.example.com".to_owned();
        test(&mut Import::new(&client, site, ProgressBar::hidden()));
    }

    #[test]
    fn a_line_becomes_a_click_on_the_link_to_its_path() {
        with_import(|import| {
            import.take(LINE).unwrap();
            let waiting = &import.waiting[0];
            assert_eq!(waiting.url, "https://www.example.com/a%20b");
            assert_eq!(waiting.click["at"], "2015-05-17T10:05:03+00:00");
            assert_eq!(waiting.click["address"], "1.2.3.4");
            assert_eq!(waiting.click["referrer"], Value::Null);
        });
    }

    #[test]
    fn equal_lines_are_different_clicks_and_the_same_in_every_run() {
        let ids = |lines: &[&[u8]]| {
            let mut ids = Vec::new();
            with_import(|import| ids = lines.iter().map(|line| import.import_id(line)).collect());
            ids
        };
        let first = ids(&[LINE, b"other", LINE]);
        assert_ne!(first[0], first[2]);
        assert_eq!(first, ids(&[LINE, b"other", LINE]));
        // A log that has grown has the same ids for the lines it had.
        assert_eq!(first[..], ids(&[LINE, b"other", LINE, LINE])[..3]);
    }

    #[test]
    fn bad_lines_are_counted_and_no_click() {
        with_import(|import| {
            import.take(b"nonsense").unwrap();
            import.take(b"\xff\xfe").unwrap();
            assert_eq!((import.summary.bad, import.waiting.len()), (2, 0));
        });
    }

    #[test]
    fn a_site_is_an_origin() {
        for (url, expected) in [
            ("https://www.example.com", Some("https://www.example.com")),
            ("http://a:8080/", Some("http://a:8080")),
            ("https://a/path", None),
            ("ftp://a/", None),
        ] {
            assert_eq!(site(&url.parse().unwrap()).ok().as_deref(), expected, "{url}");
        }
    }
}
