//! The conformance suite on every database.

mod sqlite {
    use tempfile::TempDir;

    use crate::Database;
    use crate::contract::read_model_contract;

    async fn empty() -> (TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
        (dir, database)
    }

    read_model_contract!(empty());
}

mod postgres {
    use std::sync::OnceLock;

    use uuid::Uuid;

    use crate::contract::read_model_contract;
    use crate::postgres_server::PostgresServer;
    use crate::{Database, PostgresOptions};

    /// One server for all tests of a process; each has a schema of its own.
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();

    async fn empty() -> ((), Database) {
        let server = SERVER.get_or_init(PostgresServer::start);
        let schema = Some(format!("test_{}", Uuid::new_v4().simple()));
        let options = PostgresOptions { schema, ..PostgresOptions::new(server.url()) };
        ((), Database::open_postgres(options).await.unwrap())
    }

    read_model_contract!(empty());
}
