//! Reports of links: each that is one counts.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Method;

use super::{Limits, Refused};
use crate::limits::who::Asker;

/// When to come back where nobody says.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Limits {
    /// Whether somebody may report a link.
    ///
    /// # Errors
    /// When there were too many from there, or of the link.
    pub async fn may_report(
        &self,
        (method, address): (&Method, IpAddr),
        link: &str,
    ) -> Result<(), Refused> {
        let book = self.book.load_full();
        let asker = Asker { address, principal: None };
        let charges = book.rules.report((method, &asker), link)?;
        match self.decide_if_any(&book, charges).await? {
            Some(verdict) if !verdict.decision.is_allowed() => {
                Err(Refused::Until(verdict.decision.retry_after().unwrap_or(RETRY_AFTER)))
            }
            _ => Ok(()),
        }
    }
}
