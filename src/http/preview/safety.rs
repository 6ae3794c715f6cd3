//! What can be said of how safe a destination is without going there: how it is named, how one gets there, and whether the
//! operator's lists have it. Nothing here says that it does no harm.

use hoplog_events::link::Destination;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::warnings::HostName;

/// How safe the destination is, as far as that can be told from its address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Safety {
    /// Whether nobody on the way can read and change what is sent (https).
    pub encrypted: bool,
    /// Its host, international ones in punycode.
    #[schema(example = "xn--e1afmkfd.xn--p1ai")]
    pub host: String,
    /// The same as browsers may show it; `null`: as it is.
    #[schema(example = "пример.рф")]
    pub unicode_host: Option<String>,
    /// Whether its host mixes alphabets, or imitates Latin letters with others.
    pub imitates: bool,
    /// Whether it is on a block list of this service; `null`: the service has none, or can't read one.
    pub blocked: Option<bool>,
}

impl Safety {
    /// What can be said of a destination now.
    pub(super) fn of(app: &App, url: &Destination) -> Self {
        let HostName { ascii, unicode, imitates } = HostName::of(url);
        let lists = app.commands.blocked();
        let is_listed = !lists.current().entries(url).is_empty();
        // Of lists that can't be read nobody knows what they do not have.
        let is_known = |status: &str| is_listed || status == "ok";
        let blocked = lists.status().filter(|status| is_known(status)).map(|_| is_listed);
        let encrypted = url.as_str().starts_with("https:");
        Self { encrypted, host: ascii, unicode_host: unicode, imitates, blocked }
    }
}
