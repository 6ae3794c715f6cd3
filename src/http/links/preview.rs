//! What chats and networks show of a link, as clients send it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::link::EditPreview;
use crate::http::fields::{Fields, Patch};

/// The field of it.
const PREVIEW: &str = "preview";

/// What chats and networks show of a link, for the contract.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct PreviewBody {
    /// The title.
    #[schema(min_length = 1, max_length = 255, example = "We launch")]
    title: Option<String>,
    /// What stands below it.
    #[schema(min_length = 1, max_length = 500, example = "All about it, in one place")]
    description: Option<String>,
    /// Where the picture is: looked at like the link's own `url`.
    #[schema(example = "https://example.com/card.png")]
    image: Option<String>,
}

/// Takes what is to be shown; `null` for all of it leaves it to the destination.
pub(super) fn preview(fields: &mut Fields) -> EditPreview {
    match fields.object(PREVIEW) {
        Patch::Keep => EditPreview::default(),
        Patch::Clear => EditPreview::clear(),
        Patch::Set(mut preview) => {
            let edit = EditPreview {
                title: preview.patch("title").nested(),
                description: preview.patch("description").nested(),
                image: preview.patch("image").nested(),
            };
            fields.absorb(preview);
            edit
        }
    }
}
