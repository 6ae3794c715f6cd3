//! `POST /api/v1/ratelimit/check`: other services ask whether something may pass.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::http::auth::LimitAsker;
use crate::http::body::JsonObject;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::limits::{Cost, Rule};
use crate::ratelimit::{Charge, Decision, Standing, seconds_up};

/// The longest subject, in characters.
const SUBJECT_CHARS_MAX: usize = 256;

/// What is asked, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct CheckBody {
    /// A policy with the route `service`.
    #[schema(example = "text-messages")]
    policy: String,
    /// Whom it is about: 1 to 256 characters that mean something to you. Owners do not share subjects.
    #[schema(example = "customer-17")]
    subject: String,
    /// What it costs; default: the policy's own.
    #[schema(example = 1)]
    cost: Option<u32>,
    /// Only look: take nothing.
    dry_run: Option<bool>,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckAnswer {
    /// Whether it may pass. If so, and this was not a dry run, it is counted.
    allowed: bool,
    /// The policy that was asked about.
    policy: String,
    /// Units in a window, of the tier that matters; `null` while the shared store is away and the policy
    /// is open or closed then.
    limit: Option<u32>,
    /// The window, in seconds.
    window_seconds: Option<u64>,
    /// Units that are left.
    remaining: Option<u32>,
    /// How long until all units are back if nothing more is taken, in seconds, rounded up.
    reset_seconds: Option<u64>,
    /// How long until it can pass, in seconds, rounded up; `null`: it does.
    retry_after_seconds: Option<u64>,
    /// The policy is a shadow, and would have refused.
    shadowed: bool,
    /// The shared store is away: this node has decided alone.
    degraded: bool,
}

/// Asks for another service whether something may pass, and counts it.
///
/// It is answered with 200 whether it may or not. Asking is not idempotent: each time counts.
#[utoipa::path(
    post, path = "/api/v1/ratelimit/check", tag = "rate limits",
    request_body = CheckBody,
    responses(
        (status = 200, description = "whether it may pass", body = CheckAnswer),
        (status = 404, description = "no policy of that name has the route service", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn check(
    State(app): State<AppState>,
    LimitAsker(principal): LimitAsker,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut fields = body.into_fields();
    let policy = fields.required::<String>("policy");
    let subject = fields.required::<Subject>("subject");
    let cost = cost(&mut fields);
    let dry_run = fields.flag("dryRun");
    fields.finish().map_err(Problem::validation)?;
    let (Some(policy), Some(Subject(subject))) = (policy, subject) else {
        return Err(Problem::validation(Vec::new()));
    };
    let found = app.limits.rules(|rules| rules.service(&policy).cloned());
    let rule = found.ok_or_else(|| unknown(&policy, &app))?;
    let cost = cost.unwrap_or_else(|| own_cost(&rule));
    let charge = rule.asked(principal.owner.as_str(), &subject, cost);
    let charge = charge.map_err(|error| super::uncharged(&error))?;
    let decision = decide(&app, charge, dry_run).await?;
    let answer = CheckAnswer::new(policy, &decision);
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer))
        .into_response())
}

async fn decide(app: &AppState, charge: Charge, dry_run: bool) -> Result<Decision, Problem> {
    let decision = if dry_run {
        app.limits.limiter().peek(&[charge]).await
    } else {
        app.limits.decide(vec![charge]).await.map(|verdict| verdict.decision)
    };
    decision.map_err(|error| super::uncharged(&error))
}

fn cost(fields: &mut Fields) -> Option<u32> {
    let given = fields.raw("cost").filter(|cost| !cost.is_null())?;
    let cost = given.as_u64().and_then(|cost| u32::try_from(cost).ok()).filter(|cost| *cost > 0);
    if cost.is_none() {
        fields.wrong("cost", "invalid", format!("must be a whole number from 1 to {}", u32::MAX));
    }
    cost
}

fn own_cost(rule: &Rule) -> u32 {
    match rule.cost() {
        Cost::Of(cost) => cost.get(),
        Cost::Links => 1,
    }
}

fn unknown(policy: &str, app: &AppState) -> Problem {
    let known = app.limits.rules(|rules| rules.services().join(", "));
    let detail = format!("no policy {policy:?} has the route service; there are: {known}");
    Problem::new(StatusCode::NOT_FOUND, "policy_not_found", detail)
}

/// Whom another service asks about.
struct Subject(String);

impl std::str::FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=SUBJECT_CHARS_MAX).contains(&text.chars().count());
        let fits = fits && !text.chars().any(char::is_control);
        let wanted = || {
            format!("must be 1 to {SUBJECT_CHARS_MAX} characters, none of them a control character")
        };
        fits.then(|| Self(text.to_owned())).ok_or_else(wanted)
    }
}

impl CheckAnswer {
    fn new(policy: String, decision: &Decision) -> Self {
        let standing = decision.standing();
        Self {
            allowed: decision.is_allowed(),
            policy,
            limit: standing.map(Standing::limit),
            window_seconds: standing.map(|standing| standing.window().as_secs()),
            remaining: standing.map(Standing::remaining),
            reset_seconds: standing.map(|standing| seconds_up(standing.reset())),
            retry_after_seconds: decision.retry_after().map(seconds_up),
            shadowed: decision.shadowed().next().is_some(),
            degraded: decision.is_degraded(),
        }
    }
}
