//! Sorted sets that account for a log up to a checkpoint, which moves in the script that adds to
//! them. What was lost, in whole or in part, is noticed, and never read as if it were all.
//!
//! | key | what |
//! |---|---|
//! | `<prefix>state` | a hash: `at`, the checkpoint; `n:<set>`, how many members a set has |
//! | `<prefix>z:<set>` | a sorted set of members by score; a member is its order (16 digits) and its name |
//! | `<prefix>o:<set>` | a hash: the order of each name |
//!
//! Of equal scores the greater order comes first: Redis compares members byte by byte then. The prefix
//! holds a hash tag (`{…}`), so that all keys are in one slot of a cluster.

use std::sync::Arc;

use redis::Value;

use super::Level2Error;
use super::connection::Level2;

const ADD: &str = include_str!("rankings/add.lua");
const TOP: &str = include_str!("rankings/top.lua");
const AROUND: &str = include_str!("rankings/around.lua");

/// Digits of an order.
const ORDER_DIGITS: usize = 16;

/// The greatest score that Redis keeps exactly: it counts in floating point.
pub const SCORE_MAX: u64 = 1 << 53;

/// Sorted sets with one checkpoint.
#[derive(Debug, Clone)]
pub struct Rankings {
    level2: Arc<Level2>,
    prefix: Box<str>,
}

/// What is added to the score of a name in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition<'a> {
    /// The name.
    pub name: &'a str,
    /// How much.
    pub score: i64,
    /// What decides between equal scores; counts only where the name is new.
    pub order: u64,
}

/// What is added to a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAdditions<'a> {
    /// The set.
    pub set: String,
    /// When it is dropped, in milliseconds since 1970; `None`: never.
    pub until_ms: Option<i64>,
    /// What is added.
    pub additions: Vec<Addition<'a>>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in, and the checkpoint moved.
    Moved,
    /// The checkpoint is somewhere else: nothing changed.
    Elsewhere,
    /// Part of what was there is lost: the checkpoint is gone, everything has to be built anew.
    Lost,
}

/// A name in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name.
    pub name: String,
    /// Its score.
    pub score: u64,
}

/// What a set holds, as of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The checkpoint.
    pub at: String,
    /// The place of the first member, from 0.
    pub first: u64,
    /// The members, from the top.
    pub members: Vec<Member>,
}

impl Rankings {
    /// The sorted sets whose keys begin with `prefix`.
    #[must_use]
    pub fn new(level2: Arc<Level2>, prefix: &str) -> Self {
        Self { level2, prefix: prefix.into() }
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.level2.is_away()
    }

    /// Where the checkpoint is; empty: nothing is there.
    ///
    /// # Errors
    /// When Redis can't be asked.
    pub async fn checkpoint(&self) -> Result<String, Level2Error> {
        let mut command = redis::cmd("HGET");
        command.arg(self.key("state", "")).arg("at");
        let at = self.level2.one("rankings_get", command).await?;
        Ok(redis::from_redis_value::<Option<String>>(at).ok().flatten().unwrap_or_default())
    }

    /// Drops the checkpoint: what is there is no longer believed.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn forget(&self) -> Result<(), Level2Error> {
        let mut command = redis::cmd("DEL");
        command.arg(self.key("state", ""));
        self.level2.one("rankings_forget", command).await.map(|_| ())
    }

    /// Adds a batch, and moves the checkpoint from one place to another. All of it, or nothing.
    ///
    /// # Errors
    /// When Redis can't be reached; it may have been done then.
    pub async fn add(
        &self,
        [from, to]: [&str; 2],
        sets: &[SetAdditions<'_>],
    ) -> Result<Added, Level2Error> {
        let mut keys = vec![self.key("state", "")];
        let mut arguments = vec![from.to_owned(), to.to_owned(), sets.len().to_string()];
        for SetAdditions { set, until_ms, .. } in sets {
            keys.extend([self.key("z:", set), self.key("o:", set)]);
            arguments.extend([set.clone(), until_ms.unwrap_or_default().to_string()]);
        }
        for (number, SetAdditions { additions, .. }) in (1..).zip(sets) {
            for Addition { name, score, order } in additions {
                let number: u32 = number;
                arguments.extend([number.to_string(), (*name).to_owned()]);
                arguments.extend([score.to_string(), format!("{order:016x}")]);
            }
        }
        match self.run("rankings_add", ADD, &keys, &arguments).await? {
            Value::Int(1) => Ok(Added::Moved),
            Value::Int(0) => Ok(Added::Elsewhere),
            _ => Ok(Added::Lost),
        }
    }

    /// The first members of a set; `None`: what is there can't be believed.
    ///
    /// # Errors
    /// When Redis can't be asked.
    pub async fn top(&self, set: &str, limit: usize) -> Result<Option<Answer>, Level2Error> {
        let arguments = [set.to_owned(), limit.to_string()];
        let answer = self.run("rankings_top", TOP, &self.keys(set), &arguments).await?;
        Ok(read(answer))
    }

    /// A member of a set and its neighbours; no members: it is not in it. `None`: what is there can't
    /// be believed.
    ///
    /// # Errors
    /// When Redis can't be asked.
    pub async fn around(
        &self,
        set: &str,
        name: &str,
        neighbours: usize,
    ) -> Result<Option<Answer>, Level2Error> {
        let arguments = [set.to_owned(), name.to_owned(), neighbours.to_string()];
        let answer = self.run("rankings_around", AROUND, &self.keys(set), &arguments).await?;
        Ok(read(answer))
    }

    /// With its text, not its hash: a script of a kilobyte, a few times a second.
    async fn run(
        &self,
        call: &'static str,
        script: &str,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Value, Level2Error> {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        self.level2.one(call, command).await
    }

    fn keys(&self, set: &str) -> [String; 3] {
        [self.key("state", ""), self.key("z:", set), self.key("o:", set)]
    }

    fn key(&self, kind: &str, set: &str) -> String {
        format!("{}{kind}{set}", self.prefix)
    }
}

/// Checkpoint, place of the first, then members with their scores in turn.
fn read(answer: Value) -> Option<Answer> {
    let (at, first, members): (String, u64, Vec<(String, f64)>) =
        redis::from_redis_value(answer).ok()?;
    let member = |(member, score): (String, f64)| {
        let name = member.get(ORDER_DIGITS..)?.to_owned();
        #[expect(clippy::cast_precision_loss, reason = "it is a power of two")]
        let is_exact = (0.0..=SCORE_MAX as f64).contains(&score);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at")]
        is_exact.then_some(Member { name, score: score as u64 })
    };
    let members = members.into_iter().map(member).collect::<Option<Vec<_>>>()?;
    Some(Answer { at, first, members })
}

#[cfg(test)]
mod tests;
