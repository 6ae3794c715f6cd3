//! Which errors pass by themselves.

use sqlx::postgres::PgDatabaseError;

/// Whether the same statement may succeed later. The codes are those of PostgreSQL's appendix A.
pub(in crate::database) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => {
            let error = error.try_downcast_ref::<PgDatabaseError>();
            error.is_some_and(|error| passes(error.code()))
        }
        _ => false,
    }
}

/// Whether a value or a row is not allowed: a data exception, or a constraint.
pub(in crate::database) fn is_about_a_row(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.code().get(..2), Some("22" | "23")))
}

/// Whether a statement took longer than it may.
pub(super) fn is_cancelled(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().is_some_and(|it| it == "57014"))
}

fn passes(code: &str) -> bool {
    // Connections, resources (disk, memory, too many connections), the operator (shutdown,
    // starting up, cancelled), the system.
    let class = matches!(code.get(..2), Some("08" | "53" | "57" | "58"));
    class
        || matches!(
            code,
            // Read-only (a standby, or a failover that is not over), idle for too long in a
            // transaction, a serialization failure, a deadlock, a lock that was not to be had.
            "25006" | "25P03" | "40001" | "40P01" | "55P03"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for code in ["08006", "53100", "53300", "57P01", "57P03", "57014", "25006", "40001"] {
            assert!(passes(code), "{code}");
        }
        for code in ["42P01", "42501", "23505", "22021", "28P01", "3D000", "XX001", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}
