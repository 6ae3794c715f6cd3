//! `POST /api/v1/tags/{tag}/rename`: another name for a tag, on every link that has it.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hoplog_events::link::{LinkKey, OwnerId, Tag};
use hoplog_events::position::{Position, Sequence};
use hoplog_projections::DatabaseError;
use hoplog_projections::link_directory::{self, LinkDirectory, TAGS_PAGE_MAX, TaggedLink};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::commands::Issuer;
use crate::domain::link::RenameTag;
use crate::execute::{ExecuteError, Outcome};
use crate::http::auth::LinksWriter;
use crate::http::body::JsonObject;
use crate::http::headers::{AtLeast, HOPLOG_POSITION, RequestId, ascii};
use crate::http::path::Segment;
use crate::http::problem::Problem;
use crate::queries::resolve_link::Era;

/// Links that one request changes at most: that takes some seconds.
pub const RENAME_LINKS_MAX: usize = 5_000;

/// The new name, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the value is read field by field")]
pub struct RenameBody {
    /// What the tag shall be called. If there is a tag of that name, the two become one.
    #[schema(example = "spring")]
    to: String,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct RenameAnswer {
    /// What the tag was called.
    from: String,
    /// What it is called.
    to: String,
    /// Links had the tag `to` before this request: the two are one now, and nobody can tell them apart.
    merged: bool,
    /// How many links this request has changed.
    changed: usize,
    /// Some links still have the old name: there are more than one request changes (5,000), some could not be
    /// changed, or some got it meanwhile. Ask again.
    left: bool,
}

/// Gives a tag another name on all of your links; on every owner's with the scope admin.
///
/// Each link is changed for itself, as by `PATCH` of its tags: it has an event of its own in its history, and no link is ever without one
/// of the two names. A request that broke off, or left some, is asked again as it was, and goes on with those that still have
/// the old name.
#[utoipa::path(
    post, path = "/api/v1/tags/{tag}/rename", tag = "tags",
    request_body = RenameBody,
    params(("tag" = String, Path, description = "what it is called"), AtLeast),
    responses(
        (status = 200, description = "what was done", body = RenameAnswer),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no tag can be called that"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "no name for a tag, or the one that it has"),
    ),
)]
pub async fn rename_tag(
    State(app): State<AppState>,
    LinksWriter(principal): LinksWriter,
    Segment(tag): Segment,
    request_id: RequestId,
    AtLeast(position): AtLeast,
    body: JsonObject,
) -> Result<Response, Problem> {
    let from: Tag = tag.parse().map_err(|error| no_tag(&error))?;
    let mut fields = body.into_fields();
    let to = fields.required::<Tag>("to");
    if to.as_ref() == Some(&from) {
        fields.wrong("to", "unchanged", "must be another name than the one that the tag has");
    }
    fields.finish().map_err(Problem::validation)?;
    let Some(to) = to else { return Err(Problem::internal()) };
    app.wait_for(link_directory::NAME, position).await?;
    let (directory, owner) = (app.read_models.link_directory(), principal.only_owner());
    let merged = directory.has_tag(owner.as_ref(), &to).await?;
    let issuer = app.issuer(&principal, request_id);
    let mut run = Run::new(&app, &directory, (owner, issuer), RenameTag { from, to });
    let left = run.change_all().await? || run.is_left().await?;
    Ok(run.respond(merged, left))
}

fn no_tag(error: &impl std::fmt::Display) -> Problem {
    let detail = format!("no tag can be called that: it {error}");
    Problem::new(StatusCode::NOT_FOUND, "tag_not_found", detail)
}

/// A rename that is under way.
struct Run<'a> {
    app: &'a App,
    directory: &'a LinkDirectory,
    /// Whose links; `None`: all.
    owner: Option<OwnerId>,
    issuer: Issuer,
    rename: RenameTag,
    /// The links that were looked at, and up to which of their events: without the tag, or beyond change.
    done: HashMap<LinkKey, Sequence>,
    changed: usize,
    /// Where the last change is.
    last: Option<Position>,
}

impl<'a> Run<'a> {
    fn new(
        app: &'a App,
        directory: &'a LinkDirectory,
        (owner, issuer): (Option<OwnerId>, Issuer),
        rename: RenameTag,
    ) -> Self {
        let done = HashMap::new();
        Self { app, directory, owner, issuer, rename, done, changed: 0, last: None }
    }

    /// The next links that have the old name, as far as the read model knows.
    async fn page(
        &self,
        after: Option<&TaggedLink>,
        limit: usize,
    ) -> Result<Vec<TaggedLink>, DatabaseError> {
        let (owner, from) = (self.owner.as_ref(), &self.rename.from);
        self.directory.links_with_tag(owner, from, after, limit).await
    }

    /// Changes the links page by page, as many as may be; whether one could not be changed.
    async fn change_all(&mut self) -> Result<bool, Problem> {
        let mut after = None;
        loop {
            // More may be left then: that is looked at in the end.
            let room = RENAME_LINKS_MAX - self.changed;
            let page = self.page(after.as_ref(), room.min(TAGS_PAGE_MAX)).await?;
            let Some(last) = page.last().cloned() else { return Ok(false) };
            if let Some(error) = self.change(page).await {
                // What was done is done, and told.
                return if self.changed == 0 { Err(error.into()) } else { Ok(true) };
            }
            after = Some(last);
        }
    }

    /// Changes some links; an error of one of those that could not be changed.
    async fn change(&mut self, page: Vec<TaggedLink>) -> Option<ExecuteError> {
        let links = page.into_iter().filter(|link| !link.is_deleted).map(|link| link.key).collect();
        let era = self.app.links.era();
        let mut failed = None;
        let outcomes = self.app.commands.rename_tag(&self.issuer, links, &self.rename).await;
        for (key, outcome) in outcomes {
            match outcome {
                Ok(outcome) => {
                    self.done.insert(key, outcome.position.sequence);
                    if outcome.changed {
                        self.note(outcome, era);
                    }
                }
                // It was deleted meanwhile.
                Err(ExecuteError::Refused(_)) => {
                    self.done.insert(key, Sequence(u64::MAX));
                }
                Err(error) => {
                    tracing::warn!(%key, %error, "a link's tag was not renamed");
                    failed = Some(error);
                }
            }
        }
        failed
    }

    fn note(&mut self, outcome: Outcome, era: Era) {
        let Outcome { link, position, .. } = outcome;
        self.changed += 1;
        if self.last.is_none_or(|last| last.sequence < position.sequence) {
            self.last = Some(position);
        }
        self.app.links.remember(era, link, position, self.app.clock.now());
    }

    /// Whether a link has the old name that was not looked at, or got it while this was under way, as far as the read model knows. It is not
    /// waited for: a link that was done here has what it was left with, until the read model knows of something later.
    async fn is_left(&self) -> Result<bool, DatabaseError> {
        let mut after = None;
        loop {
            let page = self.page(after.as_ref(), TAGS_PAGE_MAX).await?;
            let is_left = |link: &TaggedLink| {
                let done = self.done.get(&link.key);
                !link.is_deleted && done.is_none_or(|done| *done < link.sequence)
            };
            if page.iter().any(is_left) {
                return Ok(true);
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(false) };
            after = Some(last);
        }
    }

    fn respond(self, merged: bool, left: bool) -> Response {
        let RenameTag { from, to } = self.rename;
        let (from, to, changed) = (from.into(), to.into(), self.changed);
        let mut response = Json(RenameAnswer { from, to, merged, changed, left }).into_response();
        if let Some(last) = self.last {
            response.headers_mut().insert(HOPLOG_POSITION, ascii(&last.to_string()));
        }
        response
    }
}
