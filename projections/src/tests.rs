//! The conformance suite on SQLite.

use tempfile::TempDir;

use crate::Database;
use crate::contract::read_model_contract;

async fn empty() -> (TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    (dir, database)
}

read_model_contract!(empty());
