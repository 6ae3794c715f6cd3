//! A comparison that never found a difference would prove nothing: here it has some to find.

use serde_json::json;

use super::world::{World, click};
use crate::table_set::active_set;

/// Rows that no event made so: whose table, and the statement. Each changes rows of link `a` only.
const CHANGES: [(&str, &str, &str); 19] = [
    ("link_directory", "links", "update {t} set title = 'other' where link = 'default/a'"),
    ("link_directory", "links", "delete from {t} where link = 'default/a'"),
    ("link_directory", "tags", "insert into {t} values ('default/a', 'new', 'ann', 1, 1, 0)"),
    ("clicks", "clicks", "update {t} set country = 'XX' where link = 'default/a'"),
    ("clicks", "clicks", "delete from {t} where link = 'default/a'"),
    ("click_statistics", "totals", "update {t} set humans = humans + 1 where link = 'default/a'"),
    (
        "click_statistics",
        "quarters",
        "update {t} set clicks = \
        (select o.clicks from {t} o where o.link = 'default/b') where link = 'default/a'",
    ),
    ("click_statistics", "quarters", "delete from {t} where link = 'default/a'"),
    (
        "click_statistics",
        "sums",
        "update {t} set clicks = clicks - 1 where link = '' and bucket < 9000000",
    ),
    ("click_statistics", "sums", "delete from {t} where link = '' and dimension = 0"),
    // Of months.
    (
        "click_statistics",
        "sums",
        "update {t} set visitors = substr(visitors, 4) \
        where link = '' and bucket between 4 * 1099511627776 and 4 * 1099511627776 + 100000",
    ),
    ("click_statistics", "unsummed", "delete from {t}"),
    ("click_statistics", "totals", "update {t} set last_human = 0 where link = 'default/a'"),
    ("top_links", "scores", "update {t} set score = score + 1 where link = 'default/a'"),
    ("top_links", "scores", "update {t} set earliness = 0 where link = 'default/a' and span = 0"),
    ("orphans", "visits", "update {t} set country = 'XX' where path = 'a'"),
    ("orphans", "visits", "delete from {t} where path = 'a'"),
    ("orphans", "unrecorded", "update {t} set visits = visits + 1"),
    ("orphans", "horizon", "update {t} set at = 0"),
];

impl World {
    async fn change_behind_the_back(
        &self,
        projection: &'static str,
        table: &str,
        sql: &str,
    ) -> u64 {
        let (set, _) = active_set(&self.database, projection).await.unwrap();
        let mut transaction = self.database.begin().await.unwrap();
        let sql = sql.replace("{t}", &set.table(table));
        let rows = transaction.execute(sql, &[]).await.unwrap();
        transaction.commit().await.unwrap();
        rows
    }
}

pub(crate) async fn a_verification_finds_every_kind_of_difference(world: World) {
    for code in ["a", "b"] {
        world.link(code, "2026-01-01T00:00:00Z", json!({ "tags": ["old"] })).await;
    }
    let visit = |code| click(code, "2026-03-01T00:00:00Z", json!({}));
    // When the month is over it has rows of its own.
    let later = click("c", "2026-04-02T00:00:00Z", json!({}));
    world.clicks(vec![visit("a"), visit("b"), visit("a"), visit("a"), later]).await;
    world.orphan("a").await;
    world.orphan("b").await;
    world.verified().await;
    for (projection, table, sql) in CHANGES {
        let rows = world.change_behind_the_back(projection, table, sql).await;
        assert!(rows > 0, "{sql}");
        let report = world.models.verify(projection).await.unwrap();
        assert!(!report.is_equal(), "{sql}");
        for found in &report.tables {
            let expected = if found.table == table { rows } else { 0 };
            assert_eq!(found.differing_rows, expected, "{sql}: {found:?}");
            assert_eq!(found.differences.len() as u64, expected, "{sql}: {found:?}");
        }
        // It only looks; a rebuild mends.
        assert!(!world.models.verify(projection).await.unwrap().is_equal(), "{sql}");
        world.models.rebuild(projection).await.unwrap();
        world.verified().await;
    }
}
