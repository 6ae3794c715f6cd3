//! Note on the log that somebody reports a link.

use chrono::{DateTime, Utc};
use hoplog_events::link::{LinkKey, ReportCategory, Statement};

use super::Commands;
use crate::domain::link::{LinkCommand, Oversee, Report, Request};
use crate::execute::{ExecuteError, Origin, Outcome};

impl Commands {
    /// Notes a report of anybody: a category, what they say, and how many reports put the link in quarantine (0: none
    /// does). Nobody is named.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn report_link(
        &self,
        key: &LinkKey,
        (category, text, threshold): (ReportCategory, Option<Statement>, u32),
        now: DateTime<Utc>,
    ) -> Result<Outcome, ExecuteError> {
        let report = Oversee::Report(Report { category, text, threshold });
        let request = Request {
            blocked: self.blocked.current(),
            ..Request::of_service(LinkCommand::Oversee(Box::new(report)), now)
        };
        // What a request is called may say whose it is.
        let origin = Origin::once("system:report", None);
        self.execute(key, &request, &origin).await
    }
}
