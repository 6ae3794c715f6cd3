//! What most links do without, as clients send it.

use hoplog_events::link::Extras;

use super::request::Rfc3339;
use crate::domain::link::EditExtras;
use crate::http::fields::Fields;

/// Takes the extras of a new link.
pub(super) fn of_new(fields: &mut Fields) -> Extras {
    Extras {
        valid_from: fields.optional("validFrom").map(|Rfc3339(instant)| instant),
        expired_url: fields.optional("expiredUrl"),
        archived: fields.flag("archived"),
    }
}

/// Takes the extras of a patch.
pub(super) fn of_patch(fields: &mut Fields) -> EditExtras {
    let valid_from = fields.patch("validFrom").nested();
    EditExtras {
        valid_from: valid_from.map(|instant| instant.map(|Rfc3339(instant)| instant)),
        expired_url: fields.patch("expiredUrl").nested(),
        archived: fields.patch_flag("archived"),
    }
}
