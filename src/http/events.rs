//! `GET /api/v1/events`: the log itself, a page at a time, in bulk, or live.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use hoplog_events::account::Scope;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{EventLog, ReadError, ReadLimit, Subscription};
use hoplog_events::position::{Position, Sequence, Topic};

use super::auth::EventsReader;
use super::fields::Parameters;
use super::headers::{HOPLOG_POSITION, LastEventId, ascii};
use super::problem::Problem;
use crate::accounts::Principal;
use crate::app::AppState;

mod types;

use types::Types;

/// Events on a page when the request does not say.
const PAGE_EVENTS: usize = 100;

/// Events on a page at most.
const PAGE_EVENTS_MAX: usize = 1_000;

/// Bytes of event bodies held per reader at most.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// How often a live stream says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The media type of one page.
const BATCH_JSON: &str = "application/cloudevents-batch+json";

/// Why a bulk answer is cut off: whoever reads it must not take it for everything.
#[derive(Debug, thiserror::Error)]
enum BulkError {
    /// Go on from the last event with another key.
    #[error("the API key has ended")]
    KeyEnded,
    /// Go on from the last event later.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Which events a reader wants.
struct Selection {
    topic: Topic,
    types: Types,
    after: Sequence,
    limit: ReadLimit,
}

/// Events of a topic after a position.
///
/// The `Accept` header chooses the form: `application/cloudevents-batch+json` one page,
/// `application/x-ndjson` everything up to now, `text/event-stream` everything and what is to
/// come. A live stream is resumed with `Last-Event-ID`. A key with `events:read` sees the events
/// of every owner.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        ("topic" = Option<String>, Query, description = "links (default), clicks or, with the scope admin, accounts"),
        ("types" = Option<String>, Query, description = "event types, comma-separated, with or without their version"),
        ("after" = Option<String>, Query, description = "a position token, earliest (default) or latest"),
        ("limit" = Option<usize>, Query, description = "events on a page, 1 to 1000 (default 100)"),
        LastEventId,
    ),
    responses(
        (status = 200, description = "CloudEvents", body = Vec<serde_json::Value>, content_type = "application/cloudevents-batch+json"),
        (status = 406, description = "none of these forms is accepted", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the position is of another log", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "what comes after the position is no longer kept", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn read_events(
    State(app): State<AppState>,
    EventsReader(principal): EventsReader,
    RawQuery(query): RawQuery,
    LastEventId(last): LastEventId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selection = selection(&app.log, query.as_deref(), last).await?;
    if selection.topic == Topic::Accounts && !principal.can(Scope::Admin) {
        let detail = "the topic accounts needs a key with the scope admin";
        return Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail));
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.contains("text/event-stream") {
        live(&app, principal, selection).await
    } else if accept.contains("application/x-ndjson") {
        bulk(&app, principal, selection).await
    } else if accept.is_empty() || accept.contains("*/*") || accept.contains("json") {
        page(&app.log, selection).await
    } else {
        let detail = format!("accept {BATCH_JSON}, application/x-ndjson or text/event-stream");
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
    }
}

async fn selection(
    log: &Arc<dyn EventLog>,
    query: Option<&str>,
    resumed: Option<String>,
) -> Result<Selection, Problem> {
    let mut query = Parameters::new(query);
    let topic = query.optional("topic").unwrap_or(Topic::Links);
    let types = Types::take(&mut query, topic);
    let events_max = query.limit(PAGE_EVENTS, PAGE_EVENTS_MAX);
    let after = resumed.or(query.raw("after"));
    let position = match after.as_deref() {
        None | Some("earliest" | "latest") => None,
        Some(token) => token.parse::<Position>().ok(),
    };
    if position.is_none() && after.as_deref().is_some_and(|a| a != "earliest" && a != "latest") {
        query.wrong("after", "invalid", "must be a position token, earliest or latest");
    }
    query.finish()?;
    let after = match position {
        Some(position) => check_position(log.as_ref(), position, topic)?,
        None if after.as_deref() == Some("latest") => log.head(topic).await?.sequence,
        None => Sequence::START,
    };
    Ok(Selection {
        topic,
        types,
        after,
        limit: ReadLimit { events_max, bytes_max: READ_BYTES_MAX },
    })
}

/// A position is good for the log and the topic that gave it.
fn check_position(
    log: &dyn EventLog,
    position: Position,
    topic: Topic,
) -> Result<Sequence, Problem> {
    if position.log != log.id() {
        return Err(Problem::another_log());
    }
    if position.topic != topic {
        let detail = format!("the position is of the topic {}, not of {topic}", position.topic);
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_position", detail));
    }
    Ok(position.sequence)
}

/// Who begins at the beginning gets what there is. Who has seen something, and would miss what
/// comes next because it is no longer kept, is told.
async fn begin(log: &Arc<dyn EventLog>, selection: Selection) -> Result<Selection, Problem> {
    let one = ReadLimit { events_max: 1, bytes_max: 1 };
    match log.read_all(selection.topic, selection.after, one).await {
        Err(ReadError::Trimmed { to, .. }) if selection.after == Sequence::START => {
            Ok(Selection { after: to, ..selection })
        }
        answer => Ok(answer.map(|_| selection)?),
    }
}

async fn page(log: &Arc<dyn EventLog>, selection: Selection) -> Result<Response, Problem> {
    let Selection { topic, after, limit, .. } = selection;
    let events = if after == Sequence::START {
        log.read_kept(topic, after, limit).await?
    } else {
        log.read_all(topic, after, limit).await?
    };
    let wanted: Vec<String> = events
        .iter()
        .filter(|event| selection.types.want(event))
        .map(RecordedEvent::to_cloud_event)
        .collect();
    let last = events.last().map_or(selection.after, |event| event.position.sequence);
    let position = Position { log: log.id(), topic: selection.topic, sequence: last };
    let body = format!("[{}]", wanted.join(","));
    let mut response = ([(header::CONTENT_TYPE, BATCH_JSON)], body).into_response();
    response.headers_mut().insert(HOPLOG_POSITION, ascii(&position.to_string()));
    Ok(response)
}

async fn bulk(
    app: &AppState,
    principal: Principal,
    selection: Selection,
) -> Result<Response, Problem> {
    let log = &app.log;
    let selection = begin(log, selection).await?;
    let head = log.head(selection.topic).await?.sequence;
    let limit = ReadLimit { events_max: PAGE_EVENTS_MAX, bytes_max: READ_BYTES_MAX };
    let start = (Arc::clone(app), Selection { limit, ..selection });
    let pages = stream::try_unfold(start, move |(app, mut selection)| {
        let principal = principal.clone();
        async move {
            if !app.keys.works(&principal, app.clock.now()) {
                return Err(BulkError::KeyEnded);
            }
            if selection.after >= head {
                return Ok(None);
            }
            let events =
                app.log.read_all(selection.topic, selection.after, selection.limit).await?;
            let Some(last) = events.last() else { return Ok(None) };
            let last = last.position.sequence;
            let lines = lines(
                events.iter().filter(|e| e.position.sequence <= head && selection.types.want(e)),
            );
            selection.after = last;
            Ok(Some((lines, (app, selection))))
        }
    });
    let content_type = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(pages)).into_response())
}

fn lines<'a>(events: impl Iterator<Item = &'a RecordedEvent>) -> Bytes {
    let mut text = String::new();
    for event in events {
        text.push_str(&event.to_cloud_event());
        text.push('\n');
    }
    text.into()
}

/// A live reader holds one batch of its own at a time; one that does not read costs the
/// connection's buffer and nothing else. It ends at shutdown, to be resumed elsewhere, and with
/// its key.
async fn live(
    app: &AppState,
    principal: Principal,
    selection: Selection,
) -> Result<Response, Problem> {
    let selection = begin(&app.log, selection).await?;
    let Selection { topic, after, limit, .. } = selection;
    let subscription = app.log.subscribe(topic, after, limit).await?;
    // Whoever loses the stream before its first event comes back to where it started.
    let start = Position { log: app.log.id(), topic, sequence: after };
    let start = Event::default().id(start.to_string());
    let events = follow(subscription)
        .flat_map(stream::iter)
        .filter(move |event| std::future::ready(selection.types.want(event)))
        .map(|event| server_sent(&event));
    let events = stream::once(std::future::ready(start))
        .chain(events)
        .map(Ok::<_, Infallible>)
        .take_until(app.shutdown.clone().cancelled_owned())
        .take_until(key_ended(Arc::clone(app), principal));
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok(([(header::CACHE_CONTROL, "no-store")], stream).into_response())
}

/// A stream is for as long as the key works that it was asked for with.
async fn key_ended(app: AppState, principal: Principal) {
    app.keys.ended(&principal, &app.clock).await;
}

/// The stream ends when the log can't be read; the client comes back with its last position.
fn follow(subscription: Box<dyn Subscription>) -> impl Stream<Item = Vec<RecordedEvent>> {
    stream::unfold(subscription, |mut subscription| async move {
        let events = subscription.next().await.ok()?;
        Some((events, subscription))
    })
}

fn server_sent(event: &RecordedEvent) -> Event {
    Event::default()
        .id(event.position.to_string())
        .event(&*event.event_type)
        .data(event.to_cloud_event())
}
