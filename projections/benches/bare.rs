//! Tables of a projection, taken as they are: definitions and rows, without what they mean.

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, TypeInfo, ValueRef};

/// Parameters of one statement: SQLite takes 32,766.
const PARAMETERS_MAX: usize = 16_000;

/// Rows in one transaction: about what the runner writes at once.
const TRANSACTION_ROWS: usize = 25_000;

#[derive(Clone)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

struct Table {
    name: String,
    rows: Vec<Vec<Cell>>,
}

/// The tables of one projection, with all their rows.
pub(crate) struct Tables {
    definitions: Vec<String>,
    tables: Vec<Table>,
}

impl Tables {
    /// Reads them from the read models' file.
    pub(crate) async fn read(path: &Path, projection: &str) -> Self {
        let mut connection = connect(path).await;
        let of = "from sqlite_master where tbl_name like $1 || '\\_%' escape '\\'";
        let definitions = format!("select sql {of} and sql is not null order by type desc");
        let definitions = sqlx::query_scalar(AssertSqlSafe(definitions)).bind(projection);
        let definitions = definitions.fetch_all(&mut connection).await.expect("definitions");
        let names = format!("select name {of} and type = 'table'");
        let names = sqlx::query_scalar(AssertSqlSafe(names)).bind(projection);
        let names: Vec<String> = names.fetch_all(&mut connection).await.expect("names");
        let mut tables = Vec::new();
        for name in names {
            let rows = sqlx::query(AssertSqlSafe(format!("select * from {name}")));
            let rows = rows.fetch_all(&mut connection).await.expect("rows");
            tables.push(Table { name, rows: rows.iter().map(cells).collect() });
        }
        Self { definitions, tables }
    }

    /// Makes them in a new file, without rows.
    pub(crate) async fn create(&self, path: &Path) -> SqliteConnection {
        let mut connection = connect(path).await;
        for definition in &self.definitions {
            let definition = sqlx::raw_sql(AssertSqlSafe(definition.clone()));
            definition.execute(&mut connection).await.expect("a table");
        }
        connection
    }

    /// Inserts every row.
    pub(crate) async fn fill(&self, connection: &mut SqliteConnection) {
        for table in &self.tables {
            for rows in table.rows.chunks(TRANSACTION_ROWS) {
                let mut transaction = connection.begin().await.expect("a transaction");
                for rows in rows.chunks(PARAMETERS_MAX / rows[0].len()) {
                    insert(&mut transaction, &table.name, rows).await;
                }
                transaction.commit().await.expect("a commit");
            }
        }
    }
}

/// One statement, with settings like the read models' own.
async fn insert(connection: &mut SqliteConnection, table: &str, rows: &[Vec<Cell>]) {
    let row = format!("({})", vec!["?"; rows[0].len()].join(","));
    let sql = format!("insert into {table} values {}", vec![row; rows.len()].join(","));
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = rows.iter().flatten().cloned().fold(query, |query, cell| match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Int(value) => query.bind(value),
        Cell::Text(value) => query.bind(value),
        Cell::Bytes(value) => query.bind(value),
    });
    query.execute(connection).await.expect("an insert");
}

/// Opens a file as the read models' is opened.
async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", "8192");
    options.connect().await.expect("a connection")
}

fn cells(row: &SqliteRow) -> Vec<Cell> {
    (0..row.len()).map(|column| cell(row, column)).collect()
}

fn cell(row: &SqliteRow, column: usize) -> Cell {
    let value = row.try_get_raw(column).expect("a value");
    let kind = value.type_info();
    match kind.name() {
        _ if value.is_null() => Cell::Null,
        "TEXT" => Cell::Text(row.get(column)),
        "BLOB" => Cell::Bytes(row.get(column)),
        _ => Cell::Int(row.get(column)),
    }
}
