//! One page of events. One that is full never changes: its address is where it starts, how much it
//! may hold and what it leaves out, and everything up to its end is on the log.

use std::fmt::Write;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::log::{EventLog, ReadLimit};
use hoplog_events::position::Position;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::BATCH_JSON;
use super::scan::Scan;
use super::selection::{Selection, Start};
use crate::config::PageCache;
use crate::http::headers::{HOPLOG_POSITION, HOPLOG_STARTS_AFTER, ascii};
use crate::http::problem::Problem;

/// Bytes of event bodies on a page at most, but for a single event that is larger.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// How much is looked through for one page: what filters leave out costs as well. Counted in what
/// is the same wherever the log is kept, so that a page ends at the same place everywhere.
const LOOKED_EVENTS_MAX: usize = 10_000;
const LOOKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One request to the log.
const READ: ReadLimit = ReadLimit { events_max: 1_000, bytes_max: 1024 * 1024 };

/// A page as it is filled.
#[derive(Debug)]
struct Page {
    events: Vec<String>,
    bytes: usize,
    looked_events: usize,
    looked_bytes: usize,
    end: Position,
    is_full: bool,
}

/// The page that a reader asks for; 304 if it has it.
pub(super) async fn page(
    log: &Arc<dyn EventLog>,
    selection: &Selection,
    asked: (Option<&str>, &HeaderMap),
    cache: PageCache,
) -> Result<Response, Problem> {
    let (query, headers) = asked;
    let begun = selection.begin(log).await?;
    let page = fill(log, selection, begun.after).await?;
    let body = format!("[{}]", page.events.join(","));
    let etag = etag(&body, page.end);
    // `earliest` is another place when events are no longer kept.
    let is_fixed = selection.is_in_address && matches!(selection.start, Start::After(_));
    let never_changes = page.is_full && is_fixed;
    let mut response = if is_known(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, BATCH_JSON)], body).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::ETAG, ascii(&etag));
    answer.insert(header::CACHE_CONTROL, cache_control(never_changes, cache));
    answer.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
    answer.insert(HOPLOG_POSITION, ascii(&page.end.to_string()));
    answer.insert(HOPLOG_STARTS_AFTER, ascii(&begun.told()));
    if page.is_full {
        answer.insert(header::LINK, ascii(&next(query, page.end)));
    }
    Ok(response)
}

async fn fill(
    log: &Arc<dyn EventLog>,
    selection: &Selection,
    after: Position,
) -> Result<Page, Problem> {
    let filter = &selection.filter;
    let mut scan = Scan::begin(log, after, filter.stream()).await?;
    let mut page = Page::new(after);
    loop {
        let events = scan.next(READ).await?;
        if events.is_empty() {
            page.end = scan.end();
            return Ok(page);
        }
        for event in &events {
            let wanted = filter.wants(event).then(|| event.to_cloud_event());
            page.take(wanted, event.body.len(), event.position, selection.page_events_max);
            if page.is_full {
                return Ok(page);
            }
        }
    }
}

impl Page {
    fn new(after: Position) -> Self {
        let events = Vec::new();
        Self { events, bytes: 0, looked_events: 0, looked_bytes: 0, end: after, is_full: false }
    }

    /// Takes the next event, if it is wanted and there is room.
    fn take(&mut self, wanted: Option<String>, bytes: usize, at: Position, events_max: usize) {
        if let Some(event) = wanted {
            if self.bytes + bytes > PAGE_BYTES_MAX && !self.events.is_empty() {
                self.is_full = true;
                return;
            }
            self.bytes += bytes;
            self.events.push(event);
        }
        self.end = at;
        self.looked_events += 1;
        self.looked_bytes += bytes;
        self.is_full = self.events.len() >= events_max
            || self.looked_events >= LOOKED_EVENTS_MAX
            || self.looked_bytes >= LOOKED_BYTES_MAX;
    }
}

/// The same for the same page, whoever serves it.
fn etag(body: &str, end: Position) -> String {
    let hash = Sha256::new().chain_update(body).chain_update(end.to_string()).finalize();
    let mut etag = String::from("\"");
    for byte in hash.iter().take(16) {
        // Writing to a string can't fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag + "\""
}

/// Whether the client has a page with this tag (RFC 9110: compared weakly).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = given.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

fn cache_control(never_changes: bool, cache: PageCache) -> HeaderValue {
    HeaderValue::from_static(match (never_changes, cache) {
        (false, _) => "private, no-cache",
        (true, PageCache::Private) => "private, max-age=31536000, immutable",
        (true, PageCache::Shared) => "public, max-age=31536000, immutable",
    })
}

/// The address of the page behind this one: the same request, from where it ends.
fn next(query: Option<&str>, end: Position) -> String {
    let given = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(given.filter(|(name, _)| name != "after"));
    next.append_pair("after", &end.to_string());
    format!("</api/v1/events?{}>; rel=\"next\"", next.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::position::{LogId, Sequence, Topic};
    use uuid::Uuid;

    fn at(sequence: u64) -> Position {
        let log = LogId(Uuid::from_u128(7));
        Position { log, topic: Topic::Links, sequence: Sequence(sequence) }
    }

    /// Takes events, each wanted or not and so many bytes long; gives where the page ends and
    /// whether it is full.
    fn filled(events: &[(bool, usize)], events_max: usize) -> (usize, u64, bool) {
        let mut page = Page::new(at(0));
        for ((wanted, bytes), sequence) in events.iter().zip(1..) {
            if page.is_full {
                break;
            }
            page.take(wanted.then(String::new), *bytes, at(sequence), events_max);
        }
        (page.events.len(), page.end.sequence.0, page.is_full)
    }

    #[test]
    fn a_page_ends_where_it_is_full_and_not_before() {
        let (wanted, left_out) = ((true, 10), (false, 10));
        assert_eq!(filled(&[wanted; 3], 4), (3, 3, false));
        assert_eq!(filled(&[wanted; 9], 4), (4, 4, true));
        assert_eq!(filled(&[left_out, wanted, left_out, wanted, left_out], 2), (2, 4, true));
        assert_eq!(filled(&vec![left_out; LOOKED_EVENTS_MAX + 5], 2), (0, 10_000, true));
        let large = (true, PAGE_BYTES_MAX);
        assert_eq!(
            filled(&[large, wanted], 9),
            (1, 1, true),
            "what has no room is left for the next"
        );
        assert_eq!(filled(&[left_out, (true, 2 * PAGE_BYTES_MAX), wanted], 9), (1, 2, true));
        assert_eq!(filled(&[(false, LOOKED_BYTES_MAX), wanted], 9), (0, 1, true));
    }

    #[test]
    fn a_tag_is_known_alone_in_a_list_or_weakly() {
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"a\"")
        };
        assert!(known("\"a\"") && known("W/\"a\"") && known("\"b\", \"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a") && !known(""));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn the_next_page_is_the_same_request_from_another_place() {
        let next = next(Some("limit=5&after=earliest&types=a,b&link=default/x"), at(17));
        let end = at(17);
        let expected = format!(
            "</api/v1/events?limit=5&types=a%2Cb&link=default%2Fx&after={end}>; rel=\"next\""
        );
        assert_eq!(next, expected);
    }
}
