//! What most links do without, as clients send it.

use hoplog_events::link::Extras;

use super::preview::preview;
use super::request::Rfc3339;
use super::rules::rules;
use super::split::split;
use crate::domain::link::EditExtras;
use crate::domain::utm::{self, EditUtm};
use crate::http::fields::{Fields, Patch};

/// The field of the clicks that a link is good for.
pub(super) const MAX_CLICKS: &str = "maxClicks";

/// Takes the extras of a new link.
pub(super) fn of_new(fields: &mut Fields) -> Extras {
    Extras {
        valid_from: fields.optional("validFrom").map(|Rfc3339(instant)| instant),
        expired_url: fields.optional("expiredUrl"),
        archived: fields.flag("archived"),
        forward_query: fields.optional("forwardQuery"),
        forward_path: fields.flag("forwardPath"),
        // It is hashed when all else is known to be right.
        password: None,
        max_clicks: fields.patch_number(MAX_CLICKS).nested().flatten(),
        clicks_granted: 0,
        rules: rules(fields).unwrap_or_default(),
        split: split(fields).unwrap_or_default(),
        preview: preview(fields).apply(None).map(Box::new),
        fetched_title: None,
        oversight: None,
    }
}

/// Takes the extras of a patch.
pub(super) fn of_patch(fields: &mut Fields) -> EditExtras {
    let valid_from = fields.patch("validFrom").nested();
    EditExtras {
        valid_from: valid_from.map(|instant| instant.map(|Rfc3339(instant)| instant)),
        expired_url: fields.patch("expiredUrl").nested(),
        archived: fields.patch_flag("archived"),
        forward_query: fields.patch("forwardQuery").nested(),
        forward_path: fields.patch_flag("forwardPath"),
        password: None,
        max_clicks: fields.patch_number(MAX_CLICKS).nested(),
        rules: rules(fields),
        split: split(fields),
        preview: preview(fields),
    }
}

/// Takes the campaign fields; `null` for all of them removes them.
pub(super) fn utm(fields: &mut Fields) -> EditUtm {
    match fields.object("utm") {
        Patch::Keep => EditUtm::default(),
        Patch::Clear => EditUtm::clear(),
        Patch::Set(mut utm) => {
            let edit = EditUtm(utm::FIELDS.map(|field| utm.patch(field).nested()));
            fields.absorb(utm);
            edit
        }
    }
}
