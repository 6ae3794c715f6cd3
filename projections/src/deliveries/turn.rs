//! Who delivers, where several processes share a database: whoever's turn it is. What two of them
//! might do at the same time for a moment is sent twice under the same id; nothing is lost by it.

use super::{Deliveries, TURN};
use crate::database::DatabaseError;

impl Deliveries {
    /// Takes the turn if nobody has it, or says that this process goes on with it. `false`: it is
    /// another one's.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn take_turn(&self) -> Result<bool, DatabaseError> {
        // Whoever is alone with the database waits for nobody: that was itself before a restart.
        let unless = if self.alone {
            ""
        } else {
            "where webhook_turns.holder = excluded.holder or webhook_turns.ends <= {now}"
        };
        let sql = format!(
            "insert into webhook_turns (name, holder, ends) values ('delivery', $1, {{now}} + $2) \
             on conflict (name) do update set holder = excluded.holder, ends = excluded.ends {unless}"
        );
        let turn = i64::try_from(TURN.as_micros()).unwrap_or(i64::MAX);
        Ok(self.change(&sql, &[(*self.holder).into(), turn.into()]).await? == 1)
    }

    /// Whether nobody else can have a turn: it has to be taken once.
    #[must_use]
    pub fn are_alone(&self) -> bool {
        self.alone
    }

    /// Gives the turn back, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn give_turn_back(&self) -> Result<(), DatabaseError> {
        let sql = "delete from webhook_turns where holder = $1";
        self.change(sql, &[(*self.holder).into()]).await.map(|_| ())
    }
}
