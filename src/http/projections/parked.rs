//! Events that a projection can't handle: listed, tried again, passed over.

use axum::Json;
use axum::extract::{RawQuery, State};
use hoplog_events::position::{Position, Topic};
use hoplog_projections::cursor::cut;
use hoplog_projections::parking::ParkedSequence;
use hoplog_projections::read_models::OperationError;
use hoplog_projections::runner::{First, Retried};
use serde::Serialize;
use utoipa::ToSchema;

use super::Operation;
use crate::app::AppState;
use crate::http::auth::Administrator;
use crate::http::fields::Parameters;
use crate::http::path::Segment;
use crate::http::problem::Problem;

/// Sequences on a page when the request does not say, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;

/// One page of parked sequences.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParkedList {
    /// The sequences, in the order of their names.
    pub data: Vec<ParkedAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Events that wait for one that can't be handled.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParkedAnswer {
    /// Its name: a link as `domain/code`; or one event alone, where the order does not matter.
    #[schema(example = "default/spring")]
    pub sequence: String,
    /// The event that can't be handled.
    pub position: String,
    /// What that is.
    pub event_type: String,
    /// Why it can't be handled.
    pub error: String,
    /// How often that was tried.
    pub attempts: u64,
    /// How many events wait, this one included.
    pub events: u64,
    /// Since when.
    pub parked_at: String,
}

/// What became of sequences that were tried again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedList {
    /// One for each.
    pub data: Vec<RetriedAnswer>,
}

/// What became of a sequence.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedAnswer {
    /// Its name.
    pub sequence: String,
    /// How many of its events are accounted for now.
    pub applied: u64,
    /// Why the rest is still parked; `null`: nothing is.
    pub error: Option<String>,
}

impl From<Retried> for RetriedAnswer {
    fn from(Retried { sequence_of, applied, error }: Retried) -> Self {
        Self { sequence: sequence_of, applied, error }
    }
}

/// The events that a projection can't handle, and those that wait for them.
#[utoipa::path(get, path = "/api/v1/projections/{name}/parked", tag = "operations",
    params(
        ("name" = String, Path, description = "its name"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, description = "a page", body = ParkedList), Operation))]
pub async fn list_parked(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<ParkedList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let after: String = query.cursor().unwrap_or_default();
    let limit = query.limit(PAGE, PAGE_MAX);
    query.finish()?;
    let one_more = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let mut found = app.read_models.parked(&name, &after, one_more).await?;
    let next_cursor = cut(&mut found, limit).map(|last| last.sequence_of.clone());
    let topic = app.read_models.topic(&name)?;
    let data = found.into_iter().map(|parked| answer(&app, topic, parked)).collect();
    Ok(Json(ParkedList { data, next_cursor }))
}

fn answer(app: &AppState, topic: Topic, parked: ParkedSequence) -> ParkedAnswer {
    let position = Position { log: app.log.id(), topic, sequence: parked.first };
    ParkedAnswer {
        sequence: parked.sequence_of,
        position: position.to_string(),
        event_type: parked.event_type,
        error: parked.error,
        attempts: parked.attempts,
        events: parked.events,
        parked_at: parked.parked_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    }
}

/// Tries parked events again, of one sequence or of all.
#[utoipa::path(post, path = "/api/v1/projections/{name}/retry", tag = "operations",
    params(
        ("name" = String, Path, description = "its name"),
        ("sequence" = Option<String>, Query, description = "one sequence, as the list names it (default: all, at most 500)"),
    ),
    responses((status = 200, description = "what became of them", body = RetriedList), Operation))]
pub async fn retry(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<RetriedList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let one = query.raw("sequence");
    query.finish()?;
    let is_all = one.is_none();
    let sequences = if let Some(one) = one {
        vec![one]
    } else {
        let max = u32::try_from(PAGE_MAX).unwrap_or(u32::MAX);
        let all = app.read_models.parked(&name, "", max).await?;
        all.into_iter().map(|parked| parked.sequence_of).collect()
    };
    let mut data = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        match app.read_models.retry(&name, &sequence, First::Try).await {
            Ok(retried) => data.push(retried.into()),
            // One that can't be tried keeps no other from it. Whoever asked for one alone is told.
            Err(OperationError::Failed(error)) if is_all => {
                let error = Some(error.to_string());
                data.push(RetriedAnswer { sequence, applied: 0, error });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(RetriedList { data }))
}

/// Passes the event over that a sequence waits for, for good, and tries the rest.
#[utoipa::path(post, path = "/api/v1/projections/{name}/skip", tag = "operations",
    params(
        ("name" = String, Path, description = "its name"),
        ("sequence" = String, Query, description = "the sequence, as the list names it"),
        ("position" = Option<String>, Query, description = "the event, as the list names it: nothing is done if the sequence waits for another one"),
    ),
    responses((status = 200, description = "what became of the rest", body = RetriedAnswer), Operation))]
pub async fn skip(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<RetriedAnswer>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let sequence = query.raw("sequence");
    if sequence.is_none() {
        query.wrong("sequence", "required", "name the sequence, as the list of parked ones does");
    }
    let position: Option<Position> = query.optional("position");
    query.finish()?;
    let sequence = sequence.unwrap_or_default();
    let first = First::PassOver(position.map(|position| position.sequence));
    Ok(Json(app.read_models.retry(&name, &sequence, first).await?.into()))
}
