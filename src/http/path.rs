//! What stands in paths.

use hoplog_events::link::{Domain, LinkKey};

use super::problem::Problem;

/// The link a path names. A text that can't be a code names none.
///
/// # Errors
/// 404.
pub fn link_key(code: &str) -> Result<LinkKey, Problem> {
    let code = code.parse().map_err(|_| Problem::link_not_found())?;
    Ok(LinkKey { domain: Domain::service(), code })
}
