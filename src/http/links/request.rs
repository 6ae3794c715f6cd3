//! What clients send about links: parsed field by field, every mistake reported.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, Domain, ExternalId, Extras, Note, PasswordHash, RedirectStatus, Tag, Tags, Title,
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::extras;
use super::password::PASSWORD;
use super::place::Places;
use super::preview::PreviewBody;
use super::rules::RuleBody;
use super::split::VariantBody;
use crate::domain::alias::Alias;
use crate::domain::expiry::{ExpiresIn, Expiry};
use crate::domain::link::{EditExtras, EditLink};
use crate::domain::password::Password;
use crate::domain::utm::{EditUtm, UtmError};
use crate::http::fields::{Fields, Patch, kind};

/// The body of `POST /api/v1/links`, for the contract; [`NewLink`] is what it is parsed into.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read by NewLink::parse")]
pub struct NewLinkBody {
    /// Where the link leads: an absolute http or https URL.
    #[schema(example = "https://example.com/launch?utm_source=mail")]
    url: String,
    /// The code you choose; without it one is made.
    #[schema(example = "launch")]
    alias: Option<String>,
    /// The domain the link lives on, one of `/api/v1/domains`; without it the service's own.
    #[schema(example = "go.example.com")]
    domain: Option<String>,
    /// From this instant on the link is not served (RFC 3339).
    #[schema(example = "2030-01-01T00:00:00Z")]
    expires_at: Option<String>,
    /// Instead of `expiresAt`: how long the link lives, such as `7d`, or a number of seconds.
    #[schema(example = "7d")]
    expires_in: Option<String>,
    /// The status of the redirect: 301, 302 (default), 307 or 308.
    #[schema(example = 302)]
    redirect: Option<u16>,
    /// A name for people.
    title: Option<String>,
    /// Labels to find it by.
    tags: Option<Vec<String>>,
    /// Free text for you.
    note: Option<String>,
    /// Its name in your own system.
    external_id: Option<String>,
    /// Before this instant it is answered as if there were no such link (RFC 3339).
    #[schema(example = "2029-12-24T00:00:00Z")]
    valid_from: Option<String>,
    /// Where it leads once it has expired; without it visitors are told that it is gone.
    #[schema(example = "https://example.com/over")]
    expired_url: Option<String>,
    /// Lists leave it out unless they are asked for it; it redirects all the same.
    archived: Option<bool>,
    /// What becomes of the query of visitors: append it to the destination's, or override parameters of the same
    /// names; without it nothing is forwarded.
    #[schema(example = "append")]
    forward_query: Option<String>,
    /// Whether `/{code}/more` leads to what is at `more` behind the destination.
    forward_path: Option<bool>,
    /// What visitors have to know: 1 to 128 characters. It is kept as a hash, and in no answer.
    #[schema(format = Password, min_length = 1, max_length = 128)]
    password: Option<String>,
    /// How many clicks of people it is good for; 1: a link for one visit. Then it has ended, as if it had expired.
    #[schema(minimum = 1, maximum = 100_000, example = 1)]
    max_clicks: Option<u32>,
    /// Where it leads some visitors instead: the first rule that holds decides. `utm` is set in their destinations, too.
    #[schema(max_items = 32)]
    rules: Option<Vec<RuleBody>>,
    /// How it shares those whom no rule leads elsewhere, by weight: the same visitor is led to the same variant. `utm` is
    /// set in their destinations, too.
    #[schema(min_items = 2, max_items = 16)]
    split: Option<Vec<VariantBody>>,
    /// What chats and networks show of it; without it they show what the destination says of itself.
    preview: Option<PreviewBody>,
    /// Campaign fields to set in the destination.
    utm: Option<UtmBody>,
    /// Answer with your own live link to the same URL, if there is one with the same settings.
    reuse: Option<bool>,
    /// Change your own link with this `externalId`, if there is one: fields that are not given stay as they are.
    upsert: Option<bool>,
}

/// Campaign fields, parameters of the destination's query (`utm_source` and so on).
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct UtmBody {
    /// Where visitors come from.
    #[schema(example = "newsletter")]
    source: Option<String>,
    /// How they come.
    #[schema(example = "email")]
    medium: Option<String>,
    /// What for.
    #[schema(example = "spring")]
    campaign: Option<String>,
    /// The word that was paid for.
    term: Option<String>,
    /// Which of several links it was.
    content: Option<String>,
}

/// A link that somebody wants.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Where it shall live.
    pub domain: Domain,
    /// Where it shall lead.
    pub url: Destination,
    /// The code they chose.
    pub alias: Option<Alias>,
    /// When it shall end.
    pub expiry: Option<Expiry>,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// A name for people.
    pub title: Option<Title>,
    /// Labels.
    pub tags: Tags,
    /// Free text.
    pub note: Option<Note>,
    /// Its name in the owner's system.
    pub external_id: Option<ExternalId>,
    /// What most links do without.
    pub extras: Extras,
    /// What visitors shall have to know.
    pub password: Option<Password>,
    /// Whether an existing link will do.
    pub reuse: bool,
    /// What is wanted of the link that has the external id, if it is to be changed.
    pub update: Option<Box<LinkPatch>>,
}

impl NewLink {
    /// Takes the fields of a new link. `None`: a mistake was noted in `fields`.
    pub fn parse(fields: &mut Fields, places: &Places) -> Option<Self> {
        let update = fields.flag("upsert").then(|| Box::new(LinkPatch::parse(&mut fields.copy())));
        let url = fields.required("url");
        let utm = extras::utm(fields);
        let url = with_utm(fields, &utm, url);
        let alias = fields.optional("alias");
        let domain = places.take(fields);
        let expiry = match expiry(fields) {
            Patch::Set(expiry) => Some(expiry),
            Patch::Keep | Patch::Clear => None,
        };
        let (reuse, external_id) = (fields.flag("reuse"), external_id(fields, update.is_some()));
        if reuse && update.is_some() {
            fields.wrong("reuse", "conflict", "can't be given together with upsert");
        }
        let password = fields.optional(PASSWORD);
        if reuse && password.is_some() {
            fields.wrong("reuse", "conflict", "can't be given together with password");
        }
        let mut extras = extras::of_new(fields);
        if let Err(error) = set_utm(&utm, &mut extras) {
            fields.wrong("utm", "too_long", format!("{error} with these fields"));
        }
        if reuse && extras.max_clicks.is_some() {
            fields.wrong("reuse", "conflict", "can't be given together with maxClicks");
        }
        Some(Self {
            redirect: given_redirect(fields).unwrap_or_else(|| places.redirect_of(&domain)),
            domain,
            title: fields.optional("title"),
            tags: tags(fields).unwrap_or_default(),
            note: fields.optional("note"),
            external_id,
            extras,
            password,
            reuse,
            update,
            alias,
            expiry,
            url: url?,
        })
    }
}

/// The body of `PATCH /api/v1/links/{code}`, for the contract: a merge patch (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read by LinkPatch::parse")]
pub struct LinkPatchBody {
    /// Where the link leads from now on.
    url: Option<String>,
    /// From this instant on the link is not served; `null`: never.
    expires_at: Option<String>,
    /// Instead of `expiresAt`: how long it lives from now on.
    expires_in: Option<String>,
    /// The status of the redirect; `null`: 302.
    redirect: Option<u16>,
    /// A name for people; `null`: none.
    title: Option<String>,
    /// All tags it has from now on; `null`: none.
    tags: Option<Vec<String>>,
    /// Free text; `null`: none.
    note: Option<String>,
    /// Its name in your own system; `null`: none.
    external_id: Option<String>,
    /// Before this instant it is answered as if there were no such link; `null`: it is always served.
    valid_from: Option<String>,
    /// Where it leads once it has expired; `null`: it is gone then.
    expired_url: Option<String>,
    /// Whether lists leave it out; `null`: they don't.
    archived: Option<bool>,
    /// `append`, `override`; `null`: the query of visitors is not forwarded.
    forward_query: Option<String>,
    /// Whether paths behind the code are forwarded; `null`: they aren't.
    forward_path: Option<bool>,
    /// What visitors have to know from now on; `null`: nothing.
    #[schema(format = Password, min_length = 1, max_length = 128)]
    password: Option<String>,
    /// How many clicks of people it is good for, those that were given among them; `null`: any number, and none was
    /// given.
    #[schema(minimum = 1, maximum = 100_000)]
    max_clicks: Option<u32>,
    /// Where it leads some visitors instead, all rules that it has from now on; `null`: none.
    #[schema(max_items = 32)]
    rules: Option<Vec<RuleBody>>,
    /// How it shares those whom no rule leads elsewhere, all variants that it has from now on; `null`: not at all.
    #[schema(min_items = 2, max_items = 16)]
    split: Option<Vec<VariantBody>>,
    /// What chats and networks show of it: fields to change; `null`: they are left to the destination, one or all.
    preview: Option<PreviewBody>,
    /// Campaign fields to change in the destination, and in those of rules and variants; `null`: they are removed, one or all.
    utm: Option<UtmBody>,
}

/// What somebody wants to change.
#[derive(Debug, Clone)]
pub struct LinkPatch {
    /// When it shall end.
    expiry: Patch<Expiry>,
    /// What visitors shall have to know.
    password: Patch<Password>,
    /// All else.
    edit: EditLink,
}

impl LinkPatch {
    /// Takes the fields of a patch.
    pub fn parse(fields: &mut Fields) -> Self {
        let url = match fields.patch("url") {
            Patch::Set(url) => Some(url),
            Patch::Keep => None,
            Patch::Clear => {
                fields.wrong("url", "required", "can't be cleared: a link leads somewhere");
                None
            }
        };
        let expiry = expiry(fields);
        let edit = EditLink {
            url,
            expires_at: None,
            redirect: redirect(fields),
            title: fields.patch("title").nested(),
            tags: tags(fields),
            note: fields.patch("note").nested(),
            external_id: fields.patch("externalId").nested(),
            extras: extras::of_patch(fields),
            utm: extras::utm(fields),
        };
        Self { expiry, password: fields.patch(PASSWORD), edit }
    }

    /// The password that is to be set, if there is one.
    #[must_use]
    pub fn password(&self) -> Option<&Password> {
        if let Patch::Set(password) = &self.password { Some(password) } else { None }
    }

    /// The edit that a command of `now` makes of it. `password`: the hash of the one that is to be set.
    #[must_use]
    pub fn into_edit(self, now: DateTime<Utc>, password: Option<PasswordHash>) -> EditLink {
        let expires_at =
            self.expiry.nested().map(|expiry| expiry.map(|expiry| expiry.instant(now)));
        let password = match self.password {
            Patch::Clear => Some(None),
            Patch::Keep | Patch::Set(_) => password.map(Some),
        };
        let extras = EditExtras { password, ..self.edit.extras };
        EditLink { expires_at, extras, ..self.edit }
    }
}

/// An instant as JSON writes it, cut to whole microseconds.
pub struct Rfc3339(pub DateTime<Utc>);

impl FromStr for Rfc3339 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = DateTime::parse_from_rfc3339(text).ok();
        let instant = instant.and_then(|t| DateTime::from_timestamp_micros(t.timestamp_micros()));
        instant
            .map(Self)
            .ok_or("must be an RFC 3339 time with an offset, such as 2030-01-01T00:00:00Z")
    }
}

/// Takes `expiresAt` or `expiresIn`; not both.
pub fn expiry(fields: &mut Fields) -> Patch<Expiry> {
    let at = fields.patch::<Rfc3339>("expiresAt");
    let within = match fields.raw("expiresIn") {
        // A number is the same as its digits: whole seconds.
        Some(Value::Number(number)) => parse_expires_in(fields, &number.to_string()),
        Some(Value::String(text)) => parse_expires_in(fields, &text),
        Some(Value::Null) => Patch::Clear,
        None => Patch::Keep,
        Some(other) => {
            let detail = format!("must be a string or a number of seconds, not {}", kind(&other));
            fields.wrong("expiresIn", "type", detail);
            Patch::Keep
        }
    };
    match (at, within) {
        (Patch::Set(_), Patch::Set(_)) => {
            fields.wrong("expiresIn", "conflict", "can't be given together with expiresAt");
            Patch::Keep
        }
        (Patch::Set(Rfc3339(at)), _) => Patch::Set(Expiry::At(at)),
        (_, Patch::Set(within)) => Patch::Set(Expiry::In(within)),
        (Patch::Clear, _) | (_, Patch::Clear) => Patch::Clear,
        (Patch::Keep, Patch::Keep) => Patch::Keep,
    }
}

fn parse_expires_in(fields: &mut Fields, text: &str) -> Patch<ExpiresIn> {
    match text.parse() {
        Ok(within) => Patch::Set(within),
        Err(error) => {
            fields.wrong("expiresIn", "invalid", format!("{error}"));
            Patch::Keep
        }
    }
}

/// The destination of a new link with its campaign fields.
fn with_utm(fields: &mut Fields, utm: &EditUtm, url: Option<Destination>) -> Option<Destination> {
    match utm.apply(&url?) {
        Ok(url) => Some(url),
        Err(error) => {
            fields.wrong("utm", "too_long", format!("the destination {error} with these fields"));
            None
        }
    }
}

/// Sets campaign fields in the destinations of rules and variants.
fn set_utm(utm: &EditUtm, extras: &mut Extras) -> Result<(), UtmError> {
    extras.rules = utm.apply_to_rules(&extras.rules)?;
    extras.split = utm.apply_to_split(&extras.split)?;
    Ok(())
}

/// An upsert can't do without.
fn external_id(fields: &mut Fields, is_upsert: bool) -> Option<ExternalId> {
    if is_upsert { fields.required("externalId") } else { fields.optional("externalId") }
}

/// Takes the status of redirects; `null`: the one of most.
pub(in crate::http) fn redirect(fields: &mut Fields) -> Option<RedirectStatus> {
    let given = fields.raw("redirect")?;
    if given.is_null() {
        return Some(RedirectStatus::default());
    }
    status(fields, &given)
}

/// Takes the status of redirects of a new link; `null`: none was named, its domain says it.
fn given_redirect(fields: &mut Fields) -> Option<RedirectStatus> {
    let given = fields.raw("redirect").filter(|given| !given.is_null())?;
    status(fields, &given)
}

fn status(fields: &mut Fields, given: &Value) -> Option<RedirectStatus> {
    let status = given.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| RedirectStatus::try_from(status).ok());
    if status.is_none() {
        fields.wrong("redirect", "invalid", "must be the number 301, 302, 307 or 308");
    }
    status
}

fn tags(fields: &mut Fields) -> Option<Tags> {
    let tags = fields.list::<Tag>("tags")?;
    Tags::try_from(tags).map_err(|error| fields.wrong("tags", "invalid", error.to_string())).ok()
}
