//! What was erased leaves the file as well.
//!
//! SQLite writes over the row, and no more: what was moved between pages leaves a copy in the gap
//! of the page it came from (also with `secure_delete`, which clears what is deleted and not what
//! is moved), dropped tables stay in free pages, and the write-ahead log keeps pages as they were.
//! So the file is written anew, page by page, which leaves nothing behind and costs other writes
//! nothing; and the write-ahead log is emptied.

use sqlx::{Executor, Row as _};
use uuid::Uuid;

use super::{Purpose, SqliteDatabase, Transaction};
use crate::database::DatabaseError;

const MARK: &str = "insert into unscrubbed (mark) values ($1)";

impl Transaction {
    /// Notes that something is erased which the file still has. Each note is one of its own: one
    /// that comes while the file is written anew outlives that.
    pub(in crate::database) async fn mark_unscrubbed(
        &mut self,
        mark: &str,
    ) -> Result<(), DatabaseError> {
        let mark = format!("{mark} {}", Uuid::new_v4());
        self.execute(MARK.to_owned(), &[mark.into()]).await.map(drop)
    }
}

impl SqliteDatabase {
    /// Writes the file anew, if something was erased since that was done last. Writers wait
    /// meanwhile, readers do not.
    pub(in crate::database) async fn scrub(&self) -> Result<(), DatabaseError> {
        let mut marks = Vec::new();
        let sql = "select mark from unscrubbed".to_owned();
        self.for_each(Purpose::Projection, sql, &[], |row| {
            marks.push(row.text(0)?.to_owned());
            Ok(())
        })
        .await?;
        if marks.is_empty() {
            return Ok(());
        }
        self.write_anew().await?;
        let mut transaction = self.begin().await?;
        for mark in marks {
            let sql = "delete from unscrubbed where mark = $1".to_owned();
            transaction.execute(sql, &[mark.into()]).await?;
        }
        transaction.commit().await
    }

    async fn write_anew(&self) -> Result<(), DatabaseError> {
        let mut connection = self.writer.acquire().await?;
        // The copy may be larger than memory. It holds nothing that was erased.
        connection.execute("pragma temp_store = file").await?;
        let written = connection.execute("vacuum").await;
        connection.execute("pragma temp_store = memory").await?;
        written?;
        let emptied = connection.fetch_one("pragma wal_checkpoint(truncate)").await?;
        if emptied.try_get::<i64, _>(0)? == 0 {
            return Ok(());
        }
        // Somebody reads what was there before.
        Err(DatabaseError::Unavailable(sqlx::Error::PoolTimedOut))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::{Database, Transaction};

    const SECRET: &str = "tell-tale";

    fn holds_the_secret(dir: &Path) -> bool {
        std::fs::read_dir(dir).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        })
    }

    async fn run(database: &Database, statements: &[&str]) {
        let mut transaction = database.begin().await.unwrap();
        for sql in statements {
            transaction.define(sql).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// Rows that are moved, changed and deleted, in a table of the kind that read models have.
    #[tokio::test]
    async fn nothing_that_was_erased_is_left_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
        run(
            &database,
            &[
                "create table unscrubbed (mark text primary key)",
                "create table t (k integer, n integer, v text, primary key (k, n)) without rowid",
                "create table dropped (v text)",
                "insert into dropped values ('tell-tale')",
            ],
        )
        .await;
        for n in 0..400 {
            let fill = "x".repeat(400 + n % 300);
            let insert =
                format!("insert into t values ({}, {n}, 'tell-tale {fill}')", (n * 7_919) % 400);
            run(&database, &[&insert]).await;
        }
        run(&database, &["update t set v = 'erased'", "drop table dropped"]).await;
        // Nothing is done unless something is noted.
        database.scrub().await.unwrap();
        assert!(holds_the_secret(dir.path()));
        let mut transaction = database.begin().await.unwrap();
        let Transaction::Sqlite(ref mut sqlite) = transaction else { panic!("SQLite") };
        sqlite.mark_unscrubbed("a").await.unwrap();
        transaction.commit().await.unwrap();
        database.scrub().await.unwrap();
        assert!(!holds_the_secret(dir.path()));
        let sql = "select count(*) from unscrubbed".to_owned();
        let marks = database.fetch(super::Purpose::Lookup, sql, &[], |row| row.int(0)).await;
        assert_eq!(marks.unwrap(), [0]);
        database.close().await;
    }
}
