//! What clients send about webhooks: parsed field by field, every mistake reported.

use hoplog_events::link::Destination;
use hoplog_events::selector::WebhookType;
use hoplog_events::webhook::{WebhookSettings, WebhookStart};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::webhook::EditWebhook;
use crate::http::fields::{Fields, Patch};
use crate::http::links::place::{LinkName, Places};
use crate::webhooks::targets::Targets;

/// The body of `POST /api/v1/webhooks`, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub(super) struct NewWebhookBody {
    /// Where messages are sent: an https URL that leads to a public address.
    #[schema(example = "https://hooks.example.com/hoplog")]
    url: String,
    /// Types of events of links and clicks, each with its version, or without for every version.
    #[schema(example = json!(["hoplog.link.created", "hoplog.clicks.recorded"]))]
    types: Vec<String>,
    /// Only events of the link with this code; on another domain than the service's own: domain/code.
    link: Option<String>,
    /// Only events of links with this tag.
    tag: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Whose links it is told of: for administrators, whose webhooks are told of everybody's
    /// otherwise.
    owner: Option<String>,
}

/// The body of `PATCH /api/v1/webhooks/{id}`, for the contract: a merge patch (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub(super) struct WebhookPatchBody {
    /// Where messages are sent from now on; those that wait as well.
    url: Option<String>,
    /// What it is told of from now on.
    types: Option<Vec<String>>,
    /// Only events of this link; `null`: of every link.
    link: Option<String>,
    /// Only events of links with this tag; `null`: whatever their tags.
    tag: Option<String>,
    /// What it is for; `null`: nothing is said.
    description: Option<String>,
}

/// Takes the fields of a new webhook. `None`: a mistake was noted in `fields`.
pub(super) fn settings(
    fields: &mut Fields,
    targets: &Targets,
    places: &Places,
) -> Option<WebhookSettings> {
    let url = fields.required("url");
    let types = fields.required_list::<WebhookType>("types");
    let link = fields.optional("link");
    Some(WebhookSettings {
        types: types.into_iter().map(|WebhookType(name)| name).collect(),
        link: places.take_link(fields, "link", link),
        tag: fields.optional("tag"),
        description: fields.optional("description"),
        url: checked(fields, targets, url)?,
    })
}

/// Takes the fields of a change.
pub(super) fn edit(
    fields: &mut Fields,
    (targets, places): (&Targets, &Places),
    start: WebhookStart,
) -> EditWebhook {
    let url = match fields.patch("url") {
        Patch::Set(url) => Some(url),
        Patch::Keep => None,
        Patch::Clear => {
            fields.wrong("url", "required", "can't be cleared");
            None
        }
    };
    let types = fields.list::<WebhookType>("types");
    let link = fields.patch::<LinkName>("link").nested();
    EditWebhook {
        start,
        url: checked(fields, targets, url),
        types: types.map(|types| types.into_iter().map(|WebhookType(name)| name).collect()),
        link: link.map(|link| places.take_link(fields, "link", link)),
        tag: fields.patch("tag").nested(),
        description: fields.patch("description").nested(),
    }
}

/// Where a name leads is looked at when something is sent; what the URL says by itself, at once.
fn checked(
    fields: &mut Fields,
    targets: &Targets,
    url: Option<Destination>,
) -> Option<Destination> {
    let url = url?;
    if let Err(refused) = targets.check(&url.to_url()?) {
        fields.wrong("url", "private_target", refused.to_string());
    }
    Some(url)
}
