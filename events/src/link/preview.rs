//! What chats and networks show of a link: what its owner wants them to, and what its destination calls itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Description, Destination, Title};

/// What the owner wants shown in the place of what the destination says of itself (Open Graph): one of these at least.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnPreview {
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// What stands below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Where the picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Destination>,
}

/// Chats and networks show something else of the link, or what its destination says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkPreviewChanged {
    /// All that is shown now; `null`: what the destination says.
    pub preview: Option<OwnPreview>,
}

/// The service has looked what the page calls itself that the link leads to. Its destination stays the owner's to name:
/// this is no title of the link, and is gone with the next destination or title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkTitleFetched {
    /// The destination that was looked at.
    pub url: Destination,
    /// What it calls itself; `null`: that was erased.
    pub title: Option<Title>,
}
