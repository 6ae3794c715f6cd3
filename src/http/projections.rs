//! `/api/v1/projections`: how the read models are, and what an operator can do with them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use hoplog_projections::read_models::OperationError;
use hoplog_projections::runner::WorkerError;
use utoipa::IntoResponses;
use utoipa::openapi::{self, RefOr};

use super::auth::Administrator;
use super::contract::problems;
use super::fields::{NoParameters, Parameters};
use super::path::Segment;
use super::problem::Problem;
use crate::app::{App, AppState};

mod answer;
pub mod parked;

use answer::{ProjectionAnswer, ProjectionList, RebuildAnswer, VerifyAnswer};

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let detail = error.to_string();
        match error {
            OperationError::Unknown(_) => {
                Self::new(StatusCode::NOT_FOUND, "projection_not_found", detail)
            }
            OperationError::NotRunning => Self::unavailable("not_running", detail, 1),
            OperationError::Failed(WorkerError::Trimmed { .. }) => {
                let detail = format!("{detail}; force=true rebuilds it without them");
                Self::new(StatusCode::CONFLICT, "events_gone", detail)
            }
            OperationError::Failed(error) => failed(&error, detail),
        }
    }
}

fn failed(error: &WorkerError, detail: String) -> Problem {
    let (status, code) = match error {
        WorkerError::NotParked(_) => (StatusCode::NOT_FOUND, "not_parked"),
        WorkerError::Building(_) => (StatusCode::CONFLICT, "build_under_way"),
        WorkerError::Poison { .. } => (StatusCode::CONFLICT, "event_not_handled"),
        WorkerError::NoPrevious(_) | WorkerError::OtherVersion { .. } => {
            (StatusCode::CONFLICT, "no_tables_before")
        }
        error if error.is_transient() => {
            return Problem::unavailable("read_models_unavailable", detail, 1);
        }
        _ => (StatusCode::CONFLICT, "projection_failed"),
    };
    Problem::new(status, code, detail)
}

/// What is done with one projection.
struct Operation;

impl IntoResponses for Operation {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        problems(&[
            ("404", "no such projection"),
            (
                "409",
                "it could not be done, lastError of the projection says more; tables of it are being built already (`build_under_way`); an event can't be handled (`event_not_handled`); there are no tables from before (`no_tables_before`); or a rebuild would lose what the log no longer has (`events_gone`)",
            ),
        ])
    }
}

/// How the projections are.
#[utoipa::path(get, path = "/api/v1/projections", tag = "operations",
    responses((status = 200, description = "one for each", body = ProjectionList)))]
pub async fn list(
    State(app): State<AppState>,
    _: Administrator,
    _: NoParameters,
) -> Json<ProjectionList> {
    let status = app.read_models.status(app.clock.now()).await;
    Json(ProjectionList { data: status.into_iter().map(Into::into).collect() })
}

/// How one projection is.
#[utoipa::path(get, path = "/api/v1/projections/{name}", tag = "operations",
    params(("name" = String, Path, description = "its name")),
    responses(
        (status = 200, description = "how it is", body = ProjectionAnswer),
        (status = 404, description = "no such projection", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn show(
    State(app): State<AppState>,
    _: Administrator,
    _: NoParameters,
    Segment(name): Segment,
) -> Result<Json<ProjectionAnswer>, Problem> {
    status_of(&app, name).await
}

async fn status_of(app: &App, name: String) -> Result<Json<ProjectionAnswer>, Problem> {
    let status = app.read_models.status(app.clock.now()).await;
    let found = status.into_iter().find(|status| status.name == name);
    Ok(Json(found.ok_or(OperationError::Unknown(name))?.into()))
}

/// Builds a projection's tables anew from the first event, then swaps them in.
#[utoipa::path(post, path = "/api/v1/projections/{name}/rebuild", tag = "operations",
    params(
        ("name" = String, Path, description = "its name"),
        ("force" = Option<bool>, Query, description = "also if the log has lost its beginning, and the new tables will lack what the old ones have of it"),
    ),
    responses((status = 200, description = "done", body = RebuildAnswer), Operation))]
pub async fn rebuild(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<RebuildAnswer>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let force = query.optional("force").unwrap_or(false);
    query.finish()?;
    let report = if force {
        app.read_models.rebuild_from_kept(&name).await?
    } else {
        app.read_models.rebuild(&name).await?
    };
    Ok(Json(report.into()))
}

/// Lets the tables be read again that were read before the last rebuild. They catch up first.
#[utoipa::path(post, path = "/api/v1/projections/{name}/rollback", tag = "operations",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "done", body = RebuildAnswer), Operation))]
pub async fn rollback(
    State(app): State<AppState>,
    _: Administrator,
    _: NoParameters,
    Segment(name): Segment,
) -> Result<Json<RebuildAnswer>, Problem> {
    Ok(Json(app.read_models.rollback(&name).await?.into()))
}

/// Builds a projection's tables aside and compares every row.
#[utoipa::path(post, path = "/api/v1/projections/{name}/verify", tag = "operations",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "what was found", body = VerifyAnswer), Operation))]
pub async fn verify(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
) -> Result<Json<VerifyAnswer>, Problem> {
    Ok(Json(app.read_models.verify(&name).await?.into()))
}

/// Stops a projection where it is.
#[utoipa::path(post, path = "/api/v1/projections/{name}/pause", tag = "operations",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "how it is now", body = ProjectionAnswer), Operation))]
pub async fn pause(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
) -> Result<Json<ProjectionAnswer>, Problem> {
    app.read_models.pause(&name).await?;
    status_of(&app, name).await
}

/// Lets a paused or failed projection go on.
#[utoipa::path(post, path = "/api/v1/projections/{name}/resume", tag = "operations",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "how it is now", body = ProjectionAnswer), Operation))]
pub async fn resume(
    State(app): State<AppState>,
    _: Administrator,
    Segment(name): Segment,
) -> Result<Json<ProjectionAnswer>, Problem> {
    app.read_models.resume(&name).await?;
    status_of(&app, name).await
}
