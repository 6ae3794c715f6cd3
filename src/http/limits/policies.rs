//! `GET /api/v1/ratelimit/policies`: the policies that hold.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::http::auth::LimitAsker;
use crate::http::fields::NoParameters;
use crate::limits::{Cost, Rule};
use crate::ratelimit::{Outage, Refund, Tier};

/// The policies that hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyList {
    /// In their order.
    data: Vec<PolicyAnswer>,
}

/// A policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAnswer {
    name: String,
    /// Where it holds.
    routes: Vec<&'static str>,
    /// By what requests are counted.
    by: &'static str,
    tiers: Vec<TierAnswer>,
    /// What a request costs; `links`: as many as it makes links.
    cost: String,
    /// While the shared store is away: `local`, `open` or `closed`.
    outage: &'static str,
    /// What is given back: `never`, `success` or `failure`.
    refund: &'static str,
    /// It counts, but does not refuse.
    shadow: bool,
}

/// One tier of a policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierAnswer {
    limit: u32,
    window_seconds: u64,
    algorithm: &'static str,
    /// Units at once.
    burst: u32,
}

/// Lists the policies that hold, as they were read last.
#[utoipa::path(
    get, path = "/api/v1/ratelimit/policies", tag = "rate limits",
    responses((status = 200, description = "all of them", body = PolicyList)),
)]
pub async fn list_policies(
    State(app): State<AppState>,
    LimitAsker(_): LimitAsker,
    _: NoParameters,
) -> Json<PolicyList> {
    let data = app.limits.rules(|rules| rules.all().iter().map(PolicyAnswer::from).collect());
    Json(PolicyList { data })
}

impl From<&Rule> for PolicyAnswer {
    fn from(rule: &Rule) -> Self {
        let policy = rule.policy();
        Self {
            name: rule.name().to_owned(),
            routes: rule.places().iter().map(|place| place.name()).collect(),
            by: rule.by().name(),
            tiers: policy.tiers().iter().map(TierAnswer::from).collect(),
            cost: match rule.cost() {
                Cost::Of(cost) => cost.to_string(),
                Cost::Links => "links".to_owned(),
            },
            outage: match policy.outage() {
                Outage::Local => "local",
                Outage::Open => "open",
                Outage::Closed => "closed",
            },
            refund: match policy.refund() {
                // That is nothing that a policy says.
                Refund::Never | Refund::IfVoid => "never",
                Refund::OnSuccess => "success",
                Refund::OnFailure => "failure",
            },
            shadow: policy.is_shadow(),
        }
    }
}

impl From<&Tier> for TierAnswer {
    fn from(tier: &Tier) -> Self {
        Self {
            limit: tier.limit(),
            window_seconds: tier.window().as_secs(),
            algorithm: tier.algorithm().name(),
            burst: tier.capacity(),
        }
    }
}
