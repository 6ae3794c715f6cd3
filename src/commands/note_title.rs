//! Note on the log what the page at a link's destination calls itself.

use chrono::{DateTime, Utc};
use hoplog_events::link::LinkKey;

use super::Commands;
use crate::domain::link::{LinkCommand, PageTitle, Request};
use crate::execute::{ExecuteError, Origin, Outcome};

impl Commands {
    /// Notes what a page calls itself, if the link leads there still and has no name: its own events decide.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn note_title(
        &self,
        key: &LinkKey,
        page: PageTitle,
        now: DateTime<Utc>,
    ) -> Result<Outcome, ExecuteError> {
        let request = Request::of_service(LinkCommand::NoteTitle(Box::new(page)), now);
        self.execute(key, &request, &Origin::once("system:titles", None)).await
    }
}
