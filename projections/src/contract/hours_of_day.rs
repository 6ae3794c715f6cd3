//! The example of `docs/projections.md`: what it says compiles, runs, and keeps its promises.

mod projection;

use std::sync::Arc;

use hoplog_events::position::Topic;
use serde_json::json;

use super::world::{PATIENCE, World, click};
use crate::ReadModels;
use crate::database::{Purpose, Row};
use crate::lease::Part;
use crate::partition::Partitions;
use crate::projection::Projection;
use crate::table_set::active_set;
use projection::HoursOfDay;

/// Kept up to date, questioned, verified, built anew: all of it comes with the trait.
pub(crate) async fn a_projection_of_a_newcomer_keeps_its_promises(world: World) {
    let all: Vec<Arc<dyn Projection>> = vec![Arc::new(HoursOfDay)];
    let (database, log) = (world.database.clone(), Arc::clone(&world.log));
    let models = ReadModels::open_these(all, database, log, Part::Alone, Partitions::ONE);
    let models = models.await.unwrap();
    models.run();
    for n in 0..50 {
        let at = format!("2026-03-{:02}T{:02}:59:59Z", 1 + n % 20, 7 + n % 3);
        world.clicks(vec![click("a", &at, json!({})), click("b", &at, json!({}))]).await;
    }
    let head = world.log.head(Topic::Clicks).await.unwrap();
    models.wait_for("hours_of_day", head, PATIENCE).await.unwrap();
    for rebuilt in [false, true] {
        let (set, _) = active_set(&world.database, "hours_of_day").await.unwrap();
        let sql = "select hour, clicks from {hours_of_day.hours} where link = $1 order by hour";
        let read = |row: &Row| Ok((row.int(0)?, row.int(1)?));
        let (sql, link) = (set.render(sql), ["default/a".into()]);
        let rows = world.database.fetch(Purpose::Answer, sql, &link, read).await.unwrap();
        assert_eq!(rows, [(7, 17), (8, 17), (9, 16)]);
        if !rebuilt {
            let report = models.verify("hours_of_day").await.unwrap();
            assert!(report.is_equal(), "{report:?}");
            models.rebuild("hours_of_day").await.unwrap();
        }
    }
    models.stop_projecting().await;
}

/// The document shows this very code.
#[test]
fn the_guide_shows_the_code_that_is_tested() {
    let guide = include_str!("../../../docs/projections.md");
    let shown = guide.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(include_str!("hours_of_day/projection.rs")));
    let lines = include_str!("hours_of_day/projection.rs").lines();
    assert!(lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count() < 80);
}
