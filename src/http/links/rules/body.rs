//! Rules, for the contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One rule: whom it is for, and where it leads them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RuleBody {
    /// What clicks say of it, in the place of its number.
    #[schema(example = "phones")]
    name: Option<String>,
    /// Whom it is for: all conditions have to hold, and there is one at least. Of several values any will do.
    when: WhenBody,
    /// Where it leads them: looked at like the link's own `url`.
    #[schema(example = "https://example.com/app")]
    url: String,
}

/// The conditions of a rule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WhenBody {
    /// Countries (ISO 3166). Of a visitor of whom it is not known, none holds.
    #[schema(example = json!(["DE", "AT"]))]
    country: Option<Vec<String>>,
    /// Regions, as the operator's database of addresses names them.
    region: Option<Vec<String>>,
    /// Cities, as the operator's database of addresses names them.
    city: Option<Vec<String>>,
    /// desktop, mobile, tablet, bot, other.
    device: Option<Vec<String>>,
    /// Operating systems, as statistics name them.
    system: Option<Vec<String>>,
    /// Browsers, as statistics name them.
    browser: Option<Vec<String>>,
    /// What the language has to be that a visitor likes best: `de` stands for `de-AT`, too; `*` for any.
    language: Option<Vec<String>>,
    /// Parameters of the query, all of which have to be there: with this value, one of these, or any (`null`).
    #[schema(value_type = Option<Object>, example = json!({ "ref": ["mail", "chat"], "beta": null }))]
    query: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// Hosts that visitors come from: `example.com`, `*.example.com`; empty: those who come from nowhere.
    referrer: Option<Vec<String>>,
    /// Networks: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
    address: Option<Vec<String>>,
    /// From this instant on (RFC 3339).
    from: Option<String>,
    /// Before this instant (RFC 3339).
    until: Option<String>,
    /// Some days of the week, and a part of the day.
    time: Option<TimeBody>,
    /// human, or bot: also previews, prefetches and HEAD requests.
    visitor: Option<String>,
}

/// Some days of the week, and a part of the day.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct TimeBody {
    /// mon, tue, wed, thu, fri, sat, sun: the days on which it begins; every day without them.
    days: Option<Vec<String>>,
    /// When it begins; without it with the day.
    #[schema(example = "09:00")]
    from: Option<String>,
    /// When it is over: on the next day, if that is earlier; without it with the day.
    #[schema(example = "17:00")]
    until: Option<String>,
    /// Whose clocks tell: a name of the IANA database.
    #[schema(example = "Europe/Berlin")]
    timezone: String,
}
