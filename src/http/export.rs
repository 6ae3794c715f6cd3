//! Lists as files: `Accept: text/csv` or `application/x-ndjson` gives the whole list instead of a page, row by row as
//! it is read. No more than a page of it is in memory.

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hoplog_projections::cursor::QueryError;
use serde::Serialize;
use serde_json::Value;

use super::events::Reading;
use super::fields::Parameters;
use super::problem::Problem;
use super::server::Cut;
use crate::accounts::Principal;
use crate::app::AppState;
use crate::rows::{Form, Table};

/// Rows that are read at once.
pub(super) const PAGE_ROWS: usize = 500;

/// Why an export is cut off: whoever reads it must not take it for everything.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// Export again with another key.
    #[error("the API key has ended")]
    KeyEnded,
    /// Export again later.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// The form of a file that a request asks for, if it asks for one.
#[derive(Debug)]
pub struct Asked {
    form: Option<Form>,
    cut: Cut,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let cut = parts.extensions.get::<Cut>().cloned().unwrap_or_default();
        Ok(Self { form: form(&parts.headers), cut })
    }
}

fn form(headers: &HeaderMap) -> Option<Form> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())?;
    if accept.contains("text/csv") {
        Some(Form::Csv)
    } else {
        accept.contains("application/x-ndjson").then_some(Form::Ndjson)
    }
}

impl Asked {
    /// The form; a file has no pages.
    pub(super) fn form(&self, query: &mut Parameters) -> Option<Form> {
        for name in ["limit", "cursor"] {
            if self.form.is_some() && query.raw(name).is_some() {
                query.wrong(name, "conflict", "is for pages; a file has every row");
            }
        }
        self.form
    }

    /// Answers with a file. `page` reads the rows behind a cursor, and gives the next one.
    ///
    /// # Errors
    /// When there are too many readers, or the first rows can't be read; later the answer breaks off.
    pub(super) async fn answer<F, P>(
        self,
        app: AppState,
        principal: Principal,
        (name, table, form): (&'static str, Table, Form),
        page: F,
    ) -> Result<Response, Problem>
    where
        F: Fn(Option<String>) -> P + Send + 'static,
        P: Future<Output = Result<Page, QueryError>> + Send,
    {
        let reading = app.streams.readers.enter(self.cut)?;
        let first = page(None).await?;
        let export =
            Export { app, principal, table, page, next: Next::Page(first), _reading: reading };
        let head = Bytes::from(export.table.head());
        let pieces = stream::try_unfold((Some(head), export), |(head, mut export)| async move {
            if let Some(head) = head {
                return Ok(Some((head, (None, export))));
            }
            Ok::<_, ExportError>(export.next().await?.map(|piece| (piece, (None, export))))
        });
        let mut response = Body::from_stream(pieces).into_response();
        let headers = response.headers_mut();
        let (kind, disposition) = of_file(name, form);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
        headers.extend(disposition.map(|value| (header::CONTENT_DISPOSITION, value)));
        Ok(response)
    }
}

/// What a file is, and what a browser calls it.
fn of_file(name: &str, form: Form) -> (&'static str, Option<HeaderValue>) {
    let (kind, extension) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    (kind, HeaderValue::try_from(format!("attachment; filename=\"{name}.{extension}\"")).ok())
}

/// Rows, and the cursor of those behind them.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<Value>,
    next_cursor: Option<String>,
}

impl Page {
    /// Of what a page of the API would answer with.
    pub(super) fn of(data: &[impl Serialize], next_cursor: Option<String>) -> Self {
        let row = |answer| serde_json::to_value(answer).unwrap_or_default();
        Self { rows: data.iter().map(row).collect(), next_cursor }
    }
}

enum Next {
    Page(Page),
    After(String),
    End,
}

/// What a file is made with, piece by piece.
struct Export<F> {
    app: AppState,
    principal: Principal,
    table: Table,
    page: F,
    next: Next,
    _reading: Reading,
}

impl<F, P> Export<F>
where
    F: Fn(Option<String>) -> P + Send,
    P: Future<Output = Result<Page, QueryError>> + Send,
{
    /// The next rows; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        if !self.app.keys.works(&self.principal, self.app.clock.now()) {
            return Err(ExportError::KeyEnded);
        }
        let page = match std::mem::replace(&mut self.next, Next::End) {
            Next::Page(page) => page,
            Next::After(cursor) => (self.page)(Some(cursor)).await?,
            Next::End => return Ok(None),
        };
        self.next = page.next_cursor.map_or(Next::End, Next::After);
        let rows: Vec<u8> = page.rows.iter().flat_map(|row| self.table.row(row)).collect();
        Ok(Some(rows.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_to_who_asks_for_one() {
        let of = |accept| {
            form(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(of("text/csv"), Some(Form::Csv));
        assert_eq!(of("application/x-ndjson, */*"), Some(Form::Ndjson));
        for other in ["application/json", "*/*", "text/html,*/*;q=0.8"] {
            assert_eq!(of(other), None);
        }
        assert_eq!(form(&HeaderMap::new()), None);
    }
}
