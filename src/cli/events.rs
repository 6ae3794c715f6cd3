//! `hoplog events tail`: the log as NDJSON, up to now or for ever.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Response;

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;

mod sse;
#[cfg(test)]
mod tests;

use sse::{Decoder, Message};

/// The pause before a broken live stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How often in a row a live stream is opened again without a single event before it is given up.
const RECONNECTS_MAX: u32 = 30;

/// `hoplog events`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog events tail --topic clicks --follow")]
pub(super) struct EventsArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print events, one JSON object (CloudEvents 1.0) on each line
    #[command(
        after_help = "Example:\n  hoplog events tail --topic links --types hoplog.link.created --follow\n  hoplog events tail --topic clicks --link launch"
    )]
    Tail(Tail),
}

#[derive(Debug, Args)]
struct Tail {
    /// links, clicks or accounts
    #[arg(long, default_value = "links")]
    topic: String,
    /// Where to start: a position token, earliest or latest
    #[arg(long, default_value = "earliest", value_name = "TOKEN")]
    after: String,
    /// Only these event types, comma-separated, with or without their version
    #[arg(long)]
    types: Option<String>,
    /// Only events of this link: its code, or domain/code; of clicks, batches that have one of it
    #[arg(long, value_name = "CODE")]
    link: Option<String>,
    /// Go on with new events as they come
    #[arg(long, short)]
    follow: bool,
}

/// Runs `hoplog events`.
pub(super) async fn run(args: EventsArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let Action::Tail(tail) = args.action;
    if tail.follow { follow(&client, &tail, out).await } else { read(&client, &tail, out).await }
}

impl Tail {
    fn query(&self) -> Vec<(&str, &str)> {
        let mut query = vec![("topic", self.topic.as_str()), ("after", self.after.as_str())];
        query.extend(self.types.as_deref().map(|types| ("types", types)));
        query.extend(self.link.as_deref().map(|link| ("link", link)));
        query
    }
}

async fn read(client: &Client, tail: &Tail, out: &mut Out) -> Result<(), CliError> {
    let mut response =
        client.stream(&["events"], &tail.query(), "application/x-ndjson", None).await?;
    while let Some(bytes) = response.chunk().await? {
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Reads the live stream, and after a break goes on where it was: behind the last event it printed,
/// or where the stream started.
async fn follow(client: &Client, tail: &Tail, out: &mut Out) -> Result<(), CliError> {
    let mut last_id = None;
    let mut has_connected = false;
    let mut reconnects = 0;
    loop {
        let opened = client
            .stream(&["events"], &tail.query(), "text/event-stream", last_id.as_deref())
            .await;
        let before = last_id.clone();
        let ended = match opened {
            Ok(response) => {
                has_connected = true;
                copy(response, &mut last_id, out).await
            }
            Err(error) => Err(error),
        };
        match ended {
            // The first connection must succeed; a later one may meet a server that restarts.
            Err(error @ CliError::Unreachable { .. }) if !has_connected => return Err(error),
            Err(error) if !error.may_pass() => return Err(error),
            Ok(()) | Err(_) => {}
        }
        reconnects = if last_id == before { reconnects + 1 } else { 0 };
        if reconnects >= RECONNECTS_MAX {
            return Err(CliError::Failed("the live stream keeps breaking off".to_owned()));
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Prints a live stream until it ends, each event as soon as it is there.
async fn copy(
    mut response: Response,
    last_id: &mut Option<String>,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut decoder = Decoder::default();
    while let Some(bytes) = response.chunk().await? {
        for Message { id, data } in decoder.push(&bytes)? {
            if !data.is_empty() {
                writeln!(out, "{data}")?;
            }
            *last_id = id.or(last_id.take());
        }
        out.flush()?;
    }
    Ok(())
}
