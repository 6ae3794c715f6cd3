//! How the database is reached and what it may take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::DatabaseError;

/// How long a projector's statement may take: a batch is bounded, and takes a second or two.
pub(super) const PROJECTION_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a statement waits for a lock, which another process's transaction may hold.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a transaction may stand still before the server ends it: a projector that is frozen, or
/// whose machine is gone, keeps nobody else from going on for longer. With the lease, which ends
/// meanwhile, another one has taken over within 5 s.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);

/// How many prepared statements a connection keeps; every question of every projection fits.
const STATEMENTS_MAX: usize = 256;

/// The oldest server: the oldest one that is maintained.
const SERVER_VERSION_MIN: i32 = 140_000;

/// How to reach a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with the parameters that are usual there
    /// (`sslmode`, `sslrootcert`, `host` for a socket, `application_name`, `options[name]`).
    pub url: String,
    /// The same for a replica that lists and statistics are read from. They are behind by as much
    /// as the replica is; what redirects and commands depend on is read from the primary.
    pub read_replica: Option<String>,
    /// The schema of the tables, in lower case; `None`: the server's default. Several hoplogs
    /// can share a database by it.
    pub schema: Option<String>,
    /// How long a query may take, its wait for a connection included.
    pub query_timeout: Duration,
    /// The most connections for queries, at the primary and at the replica each. Projectors have
    /// six more.
    pub query_connections_max: u32,
}

impl PostgresOptions {
    /// The defaults: no replica, the server's default schema, 10 s, 16 connections.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            read_replica: None,
            schema: None,
            query_timeout: Duration::from_secs(10),
            query_connections_max: 16,
        }
    }
}

/// Without the addresses, which hold passwords.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("query_timeout", &self.query_timeout)
            .field("query_connections_max", &self.query_connections_max)
            .finish_non_exhaustive()
    }
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Projecting,
    Querying,
}

impl PostgresOptions {
    pub(super) fn primary(&self, purpose: Use) -> Result<PgConnectOptions, DatabaseError> {
        self.connect(&self.url, purpose)
    }

    pub(super) fn replica(&self) -> Result<Option<PgConnectOptions>, DatabaseError> {
        let url = self.read_replica.as_deref();
        url.map(|url| self.connect(url, Use::Querying)).transpose()
    }

    fn connect(&self, url: &str, purpose: Use) -> Result<PgConnectOptions, DatabaseError> {
        let mut options = PgConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENTS_MAX);
        let (name, timeout) = match purpose {
            Use::Projecting => ("hoplog-projector", PROJECTION_TIMEOUT),
            Use::Querying => ("hoplog-query", self.query_timeout),
        };
        if options.get_application_name().is_none() {
            options = options.application_name(name);
        }
        let millis = |limit: Duration| limit.as_millis().max(1);
        options = options.options([
            ("statement_timeout", millis(timeout)),
            ("lock_timeout", millis(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION_TIMEOUT)),
        ]);
        // Compiling a query costs more than ours take; "it exists already" is no news.
        options = options.options([("jit", "off"), ("client_min_messages", "warning")]);
        if purpose == Use::Querying {
            options = options.options([("default_transaction_read_only", "on")]);
        }
        if let Some(schema) = &self.schema {
            options = options.options([("search_path", check_schema(schema)?)]);
        }
        Ok(options)
    }

    /// Checks the server, and makes the schema if there is none. Tells what the server can do.
    pub(super) async fn prepare(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Abilities, DatabaseError> {
        let sql = "select pg_encoding_to_char(encoding)::text, \
                   current_setting('server_version_num')::int, \
                   (select 'lz4' = any(enumvals) from pg_settings \
                   where name = 'default_toast_compression') \
                   from pg_database where datname = current_database()";
        let server = sqlx::query(sql).fetch_one(&mut *connection).await?;
        let (encoding, version): (String, i32) = (server.try_get(0)?, server.try_get(1)?);
        let has_lz4: Option<bool> = server.try_get(2)?;
        if version < SERVER_VERSION_MIN {
            return Err(refused(format!("PostgreSQL 14 or newer is needed, not {version}")));
        }
        if encoding != "UTF8" {
            return Err(refused(format!("the database's encoding has to be UTF8, not {encoding}")));
        }
        extend(connection).await;
        let abilities = Abilities { has_lz4: has_lz4 == Some(true) };
        let Some(schema) = &self.schema else { return Ok(abilities) };
        let sql = "select 1 from pg_namespace where nspname = $1";
        if sqlx::query(sql).bind(schema).fetch_optional(&mut *connection).await?.is_none() {
            let sql = format!("create schema {}", check_schema(schema)?);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
        Ok(abilities)
    }
}

/// What not every server can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// Whether it was built with LZ4.
    has_lz4: bool,
}

impl Abilities {
    /// Options of projectors that make use of them. Sketches of visitors are rows of more than 2 KB, which
    /// the server compresses: with its own method that is a twentieth of what a rebuild costs it.
    pub(super) fn used(self, options: PgConnectOptions) -> PgConnectOptions {
        if self.has_lz4 { options.options([("default_toast_compression", "lz4")]) } else { options }
    }
}

/// The extension that parts of texts are found with. Not every user may make it; then searches look
/// at all links, and are as right.
async fn extend(connection: &mut PgConnection) {
    let sql = "create extension if not exists pg_trgm schema public";
    if let Err(error) = sqlx::query(sql).execute(connection).await {
        tracing::warn!(
            %error,
            "searches of links are slow without the extension pg_trgm: let an administrator create it \
             in this database, then start again"
        );
    }
}

/// A schema's name, which is written into statements as it is.
fn check_schema(schema: &str) -> Result<&str, DatabaseError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if begins_well && schema.len() <= 63 && schema.bytes().all(plain) {
        Ok(schema)
    } else {
        Err(refused(format!("not the name of a schema: {schema:?} (a-z, 0-9 and _)")))
    }
}

fn refused(reason: String) -> DatabaseError {
    DatabaseError::Broken(sqlx::Error::Configuration(reason.into()))
}
