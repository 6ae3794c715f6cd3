//! Everything up to now, a line each, compressed if the reader takes it so.

use std::future::ready;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{ReadError, ReadLimit};
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;

use super::filter::Filter;
use super::readers::Reading;
use super::scan::Scan;
use super::selection::Selection;
use crate::accounts::Principal;
use crate::app::AppState;
use crate::http::headers::{HOPLOG_POSITION, HOPLOG_STARTS_AFTER, ascii};
use crate::http::problem::Problem;

/// What is held of the log per reader at most, but for a single event that is larger.
const READ: ReadLimit = ReadLimit { events_max: 1_000, bytes_max: 256 * 1024 };

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

/// What a bulk answer is made with, piece by piece.
struct Bulk {
    app: AppState,
    principal: Principal,
    filter: Filter,
    scan: Scan,
    _reading: Reading,
}

/// The events that there are when the request comes.
pub(super) async fn bulk(
    app: &AppState,
    principal: Principal,
    selection: Selection,
    (headers, reading): (&HeaderMap, Reading),
) -> Result<Response, Problem> {
    let begun = selection.begin(&app.log).await?;
    let filter = selection.filter;
    let scan = Scan::begin(&app.log, begun.after, filter.stream()).await?;
    let end = scan.end();
    let bulk = Bulk { app: Arc::clone(app), principal, filter, scan, _reading: reading };
    let pieces = stream::try_unfold(bulk, |mut bulk| async move {
        Ok::<_, BulkError>(bulk.next().await?.map(|piece| (piece, bulk)))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, authorization"));
    answer.insert(HOPLOG_POSITION, ascii(&end.to_string()));
    answer.insert(HOPLOG_STARTS_AFTER, ascii(&begun.told()));
    compressed(response, headers).await
}

impl Bulk {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BulkError> {
        loop {
            if !self.app.keys.works(&self.principal, self.app.clock.now()) {
                return Err(BulkError::KeyEnded);
            }
            let events = self.scan.next(READ).await?;
            if events.is_empty() {
                return Ok(None);
            }
            let lines = lines(events.iter().filter(|event| self.filter.wants(event)));
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
    }
}

fn lines<'a>(events: impl Iterator<Item = &'a RecordedEvent>) -> Bytes {
    let mut text = String::new();
    for event in events {
        text.push_str(&event.to_cloud_event());
        text.push('\n');
    }
    text.into()
}

/// The answer in the first encoding that the reader prefers: zstd, gzip, or as it is.
async fn compressed(response: Response, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut request = Request::new(Body::empty());
    let encodings = headers.get_all(header::ACCEPT_ENCODING).iter();
    let encodings = encodings.map(|value| (header::ACCEPT_ENCODING, value.clone()));
    request.headers_mut().extend(encodings);
    let mut answer = Some(response);
    let answers = service_fn(move |_| ready(answer.take().ok_or_else(Problem::internal)));
    let compression = Compression::new(answers).compress_when(SizeAbove::new(0));
    let response = compression.oneshot(request).await?.map(Body::new);
    if response.status() == StatusCode::NOT_ACCEPTABLE {
        let detail = "accept the encoding zstd, gzip or identity";
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail));
    }
    Ok(response)
}
