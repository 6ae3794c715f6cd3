//! What a group of appends amounts to: who wins, who loses, and the rows to insert.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::super::{Append, AppendError, Appended, ExpectedVersion};
use super::{index, table};
use crate::envelope::{CommandId, NewEvent};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// A row to insert.
#[derive(Debug)]
pub(super) struct NewRow<'g> {
    pub(super) stream: &'g StreamId,
    pub(super) sequence: Sequence,
    pub(super) version: Version,
    pub(super) command_id: CommandId,
    pub(super) event: &'g NewEvent,
}

/// The appends of a group, decided one after the other as if each were alone.
#[derive(Debug)]
pub(super) struct Plan<'g> {
    log: LogId,
    /// The last sequence of every topic, with the group's rows.
    pub(super) heads: Vec<Sequence>,
    pub(super) versions: HashMap<&'g StreamId, Version>,
    /// Where commands that are on the log left their stream.
    commands: HashMap<(CommandId, &'g str), (Sequence, Version)>,
    pub(super) rows: Vec<NewRow<'g>>,
    pub(super) answers: Vec<Result<Appended, AppendError>>,
}

impl<'g> Plan<'g> {
    /// A plan that starts at these heads.
    pub(super) fn new(log: LogId, heads: Vec<Sequence>) -> Self {
        let (rows, answers) = (Vec::new(), Vec::new());
        Self { log, heads, versions: HashMap::new(), commands: HashMap::new(), rows, answers }
    }

    /// Reads what the log knows of the streams and commands of these appends: two statements,
    /// however many appends there are; one if the versions are `known`.
    pub(super) async fn load(
        &mut self,
        connection: &mut SqliteConnection,
        topic: Topic,
        appends: &[&'g Append],
        known: &HashMap<StreamId, Version>,
    ) -> Result<(), sqlx::Error> {
        let streams: HashMap<&str, &'g StreamId> =
            appends.iter().map(|append| (append.stream.key(), &append.stream)).collect();
        for stream in streams.values() {
            if let Some(version) = known.get(*stream) {
                self.versions.insert(stream, *version);
            }
        }
        let is_unknown = |stream: &&&StreamId| !self.versions.contains_key(**stream);
        let keys: Vec<&str> =
            streams.values().filter(is_unknown).map(|stream| stream.key()).collect();
        if !keys.is_empty() {
            self.load_versions(connection, topic, &keys, &streams).await?;
        }
        self.load_commands(connection, topic, appends, &streams).await
    }

    async fn load_versions(
        &mut self,
        connection: &mut SqliteConnection,
        topic: Topic,
        keys: &[&str],
        streams: &HashMap<&str, &'g StreamId>,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "SELECT wanted.value, (SELECT MAX(version) FROM {} WHERE stream = wanted.value) \
             FROM json_each($1) AS wanted",
            table(topic)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(json(keys)?);
        for row in query.fetch_all(&mut *connection).await? {
            let version: Option<i64> = row.try_get(1)?;
            if let (Some(stream), Some(version)) =
                (streams.get(row.try_get::<&str, _>(0)?), version)
            {
                self.versions.insert(stream, Version(version.unsigned_abs()));
            }
        }
        Ok(())
    }

    async fn load_commands(
        &mut self,
        connection: &mut SqliteConnection,
        topic: Topic,
        appends: &[&'g Append],
        streams: &HashMap<&str, &'g StreamId>,
    ) -> Result<(), sqlx::Error> {
        let ids: Vec<_> =
            appends.iter().map(|append| append.command_id.0.simple().to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let sql = format!(
            "SELECT command_id, stream, MAX(sequence), MAX(version) FROM {} \
             WHERE command_id IN (SELECT unhex(value) FROM json_each($1)) \
             GROUP BY command_id, stream",
            table(topic)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(json(&ids)?);
        for row in query.fetch_all(connection).await? {
            let id =
                Uuid::from_slice(row.try_get(0)?).map_err(|e| sqlx::Error::Decode(e.into()))?;
            let (sequence, version): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            if let Some(stream) = streams.get(row.try_get::<&str, _>(1)?) {
                let end = (Sequence(sequence.unsigned_abs()), Version(version.unsigned_abs()));
                self.commands.insert((CommandId(id), stream.key()), end);
            }
        }
        Ok(())
    }

    /// Decides one append and notes its answer.
    pub(super) fn decide(&mut self, append: &'g Append) {
        let answer = self.answer(append);
        self.answers.push(answer);
    }

    fn answer(&mut self, append: &'g Append) -> Result<Appended, AppendError> {
        let topic = append.stream.topic();
        let command = (append.command_id, append.stream.key());
        if let Some((sequence, version)) = self.commands.get(&command) {
            return Ok(self.appended(topic, *sequence, *version, true));
        }
        let actual = self.versions.get(&append.stream).copied().unwrap_or(Version::NONE);
        if let ExpectedVersion::Exact(expected) = append.expected
            && expected != actual
        {
            return Err(AppendError::Conflict { actual });
        }
        let (mut sequence, mut version) = (self.heads[index(topic)], actual);
        for event in &append.events {
            (sequence, version) = (Sequence(sequence.0 + 1), Version(version.0 + 1));
            let (stream, command_id) = (&append.stream, append.command_id);
            self.rows.push(NewRow { stream, sequence, version, command_id, event });
        }
        self.heads[index(topic)] = sequence;
        self.versions.insert(&append.stream, version);
        self.commands.insert(command, (sequence, version));
        Ok(self.appended(topic, sequence, version, false))
    }

    fn appended(
        &self,
        topic: Topic,
        sequence: Sequence,
        version: Version,
        duplicate: bool,
    ) -> Appended {
        Appended { position: Position { log: self.log, topic, sequence }, version, duplicate }
    }
}

fn json(texts: &[&str]) -> Result<String, sqlx::Error> {
    serde_json::to_string(texts).map_err(|error| sqlx::Error::Encode(error.into()))
}
