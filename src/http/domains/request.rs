//! What administrators send about domains: parsed field by field, every mistake reported.

use hoplog_events::domain::DomainSettings;
use hoplog_events::link::Domain;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::domains::{EditDomain, HostName};
use crate::http::fields::Fields;
use crate::http::links::request::redirect;

/// The body of `POST /api/v1/domains`, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub(super) struct NewDomainBody {
    /// Its host name: without port and path, and no address. Unicode is kept as punycode.
    #[schema(example = "go.example.com")]
    name: String,
    /// Where the bare host leads.
    #[schema(example = "https://example.com/")]
    default_url: Option<String>,
    /// Where codes lead that nobody has, with status 302.
    #[schema(example = "https://example.com/not-found")]
    not_found_url: Option<String>,
    /// Its `robots.txt`: at most 16,384 bytes.
    #[schema(example = "User-agent: *\nDisallow: /\n")]
    robots: Option<String>,
    /// The status of the redirect of the bare host, and of new links that name none: 301, 302 (default), 307 or 308.
    #[schema(example = 302)]
    redirect: Option<u16>,
}

/// The body of `PATCH /api/v1/domains/{name}`, for the contract: a merge patch (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub(super) struct DomainPatchBody {
    /// Where the bare host leads; `null`: nowhere.
    default_url: Option<String>,
    /// Where codes lead that nobody has; `null`: visitors are told so.
    not_found_url: Option<String>,
    /// Its `robots.txt`; `null`: there is none.
    robots: Option<String>,
    /// The status of the redirect of the bare host, and of new links that name none; `null`: 302.
    redirect: Option<u16>,
}

/// Takes the fields of a new domain. `None`: a mistake was noted in `fields`.
pub(super) fn new(fields: &mut Fields) -> Option<(Domain, DomainSettings)> {
    let name = fields.required::<HostName>("name");
    let EditDomain { default_url, not_found_url, robots, redirect } = edit(fields);
    let settings = DomainSettings {
        default_url: default_url.flatten(),
        not_found_url: not_found_url.flatten(),
        robots: robots.flatten(),
        redirect: redirect.flatten(),
    };
    name.map(|HostName(name)| (name, settings))
}

/// Takes the fields of a change.
pub(super) fn edit(fields: &mut Fields) -> EditDomain {
    EditDomain {
        default_url: fields.patch("defaultUrl").nested(),
        not_found_url: fields.patch("notFoundUrl").nested(),
        robots: fields.patch("robots").nested(),
        redirect: if fields.is_null("redirect") {
            redirect(fields).map(|_| None)
        } else {
            redirect(fields).map(Some)
        },
    }
}
