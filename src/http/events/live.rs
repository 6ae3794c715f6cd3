//! Everything, and what is to come, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use hoplog_events::log::ReadLimit;
use hoplog_events::position::Position;
use tokio::time::timeout;

use super::batch::{Batch, heartbeat, opening, place};
use super::feed::Follower;
use super::filter::Filter;
use super::readers::Reading;
use super::scan::Scan;
use super::selection::Selection;
use crate::accounts::Principal;
use crate::app::AppState;
use crate::http::headers::{HOPLOG_STARTS_AFTER, ascii};
use crate::http::problem::Problem;

/// How often a live stream says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// After how long a client comes back when its stream breaks off: each after another time, so that
/// those of a server that stops do not all come at once.
const RETRY_MS: std::ops::Range<u32> = 500..3_000;

/// After how many events that are not wanted a stream says where it is, so that a reader that
/// comes back need not go through them again.
const LEFT_OUT_MAX: usize = 1_000;

/// What of a link's own stream is read at once.
const READ: ReadLimit = ReadLimit { events_max: 500, bytes_max: 64 * 1024 };

/// A live stream: one batch at a time, when the connection asks for it. One that does not ask
/// holds what is on its way to it and nothing else.
struct Live {
    filter: Filter,
    /// The link's own stream, as far as it goes; then the topic.
    past: Option<Scan>,
    follower: Follower,
    place: Position,
    left_out: usize,
    _reading: Reading,
}

/// The stream ends at shutdown, to be resumed elsewhere, when the log can't be read, and with its
/// key.
pub(super) async fn live(
    app: &AppState,
    principal: Principal,
    selection: Selection,
    reading: Reading,
) -> Result<Response, Problem> {
    let begun = selection.begin(&app.log).await?;
    let Selection { topic, filter, .. } = selection;
    let past = match filter.stream() {
        Some(stream) => Some(Scan::begin(&app.log, begun.after, Some(stream)).await?),
        None => None,
    };
    let follower = app.streams.feeds.follow(topic);
    let (place_of_start, left_out) = (begun.after, 0);
    let live = Live { filter, past, follower, place: place_of_start, left_out, _reading: reading };
    // Whoever loses the stream before its first event comes back to where it started.
    let retry_ms = rand::random_range(RETRY_MS);
    let start = stream::once(std::future::ready(opening(place_of_start, retry_ms)));
    let more = stream::unfold(live, |mut live| async move { Some((live.next().await?, live)) });
    let stream = start
        .chain(more)
        .map(Ok::<_, Infallible>)
        .take_until(app.shutdown.clone().cancelled_owned())
        .take_until(key_ended(Arc::clone(app), principal));
    let mut response = Body::from_stream(stream).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers would keep events back.
    answer.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
    answer.insert(HOPLOG_STARTS_AFTER, ascii(&begun.told()));
    Ok(response)
}

/// A stream is for as long as the key works that it was asked for with.
async fn key_ended(app: AppState, principal: Principal) {
    app.keys.ended(&principal, &app.clock).await;
}

impl Live {
    /// What is sent next: events, or where the stream is. `None`: the log can't be read; the
    /// client comes back with its last position.
    async fn next(&mut self) -> Option<Bytes> {
        match timeout(HEARTBEAT, self.more()).await {
            Ok(bytes) => bytes,
            Err(_) => Some(heartbeat(self.place)),
        }
    }

    /// A call that is dropped loses nothing: the place moves with what is given or left out.
    async fn more(&mut self) -> Option<Bytes> {
        loop {
            let (batch, end) = self.batch().await?;
            let wanted = batch.wanted(self.place.sequence, &self.filter);
            self.place = end;
            self.left_out += batch.len();
            if !wanted.is_empty() {
                self.left_out = 0;
                return Some(wanted);
            }
            if self.left_out >= LEFT_OUT_MAX {
                self.left_out = 0;
                return Some(place(self.place));
            }
        }
    }

    /// Events behind the place, and the place behind them.
    async fn batch(&mut self) -> Option<(Arc<Batch>, Position)> {
        if let Some(past) = &mut self.past {
            let events = past.next(READ).await.ok()?;
            let end = past.place();
            if !events.is_empty() {
                return Some((Arc::new(Batch::of(events)), end));
            }
            self.past = None;
            self.place = end;
        }
        let batch = self.follower.next(self.place.sequence).await?;
        let end = Position { sequence: batch.last(), ..self.place };
        Some((batch, end))
    }
}
