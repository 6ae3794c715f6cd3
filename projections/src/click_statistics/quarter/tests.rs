use hoplog_events::click::VisitorHash;
use proptest::prelude::*;

use super::*;
use crate::contract::World;
use crate::database::{Database, Purpose};
use crate::sketch::Sketch;

type Clicks = Vec<(Place, Vec<Value>)>;

/// Clicks with one value or none in each of some dimensions.
fn clicks(count: std::ops::Range<usize>) -> impl Strategy<Value = Clicks> {
    let values = prop::collection::vec(0..5_u8, VALUED);
    let click = (0..40_u64, values).prop_map(|(visitor, values)| {
        let values = Dimension::ALL.into_iter().skip(1).zip(values);
        let counted = values.filter(|(_, value)| *value > 0);
        let values = counted.map(|(dimension, value)| (dimension, format!("v{value}ü").into()));
        (Place::of(VisitorHash(visitor)), values.collect())
    });
    prop::collection::vec(click, count)
}

fn quarter(clicks: &Clicks) -> Quarter {
    Quarter::of(clicks.iter().cloned())
}

/// Counted one by one.
fn expected(clicks: &Clicks) -> Vec<(Value, Tally)> {
    let mut tallies = std::collections::BTreeMap::<Value, Tally>::new();
    for (place, values) in clicks {
        let all = std::iter::once((Dimension::Total, Arc::from(""))).chain(values.iter().cloned());
        for value in all {
            let tally = tallies.entry(value).or_default();
            tally.add(1, &Sketch::of_places(vec![*place]));
        }
    }
    tallies.into_iter().collect()
}

proptest! {
    /// Whatever the order in which they come, and however they are cut.
    #[test]
    fn the_bytes_depend_on_the_clicks_alone(clicks in clicks(1..60), cut in 0..60_usize, turn in 0..60_usize) {
        let whole = quarter(&clicks);
        let mut turned = clicks.clone();
        turned.rotate_left(turn % clicks.len());
        let (one, other) = turned.split_at(cut % clicks.len());
        let merged = quarter(&one.to_vec()).merge(&quarter(&other.to_vec()));
        prop_assert_eq!(&merged, &whole);
        if let Some(bytes) = whole.to_bytes() {
            prop_assert_eq!(merged.to_bytes(), Some(bytes.clone()));
            prop_assert_eq!(Quarter::from_bytes(&bytes), Ok(whole));
        }
    }

    #[test]
    fn they_add_up_to_what_they_are(clicks in clicks(1..60)) {
        let quarter = quarter(&clicks);
        let shown = |tallies: Vec<(Value, Tally)>| format!("{tallies:?}");
        prop_assert_eq!(shown(quarter.tallies()), shown(expected(&clicks)));
        let mut seen = Vec::new();
        quarter.each(|(dimension, value), places| {
            seen.push(((dimension, Arc::from(value)), Tally::of(places.to_vec())));
        });
        prop_assert_eq!(shown(seen), shown(expected(&clicks)));
    }

    /// What does not fit never fits again, so it does not matter when it is looked at.
    #[test]
    fn more_clicks_are_more_bytes(clicks in clicks(2..200), cut in 1..200_usize) {
        let part = quarter(&clicks[..cut.min(clicks.len() - 1)].to_vec()).to_bytes();
        let whole = quarter(&clicks).to_bytes();
        if let Some(whole) = whole {
            prop_assert!(part.is_some_and(|part| part.len() < whole.len()));
        }
    }

    #[test]
    fn other_bytes_are_an_error_or_a_quarter(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(quarter) = Quarter::from_bytes(&bytes) {
            let _ = (quarter.to_bytes(), quarter.tallies());
        }
    }
}

/// What few clicks have costs the others nothing, and rows of before are read as they were.
#[test]
fn a_click_without_a_variant_is_as_long_as_before() {
    let click = |dimension| vec![(Place::of(VisitorHash(7)), vec![(dimension, Arc::from("v"))])];
    let bytes = |dimension| quarter(&click(dimension)).to_bytes().unwrap();
    for dimension in Dimension::ALL.into_iter().skip(1) {
        let number = dimension as usize;
        let more = usize::from(number > COMMON);
        // A value: its dimension, its length and itself; a click: its place, its dimensions and its value.
        assert_eq!(bytes(dimension).len(), 1 + 3 + 3 + 2 + more + 1, "{dimension:?}");
    }
    let common = bytes(Dimension::UtmContent);
    assert_eq!(common[7..9], (1_u16 << 14).to_be_bytes());
}

/// Else each has pages of its own, which are read and written whenever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_rows_share_their_pages_on_sqlite() {
    const ROWS: i64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    let world = World::new(database).await;
    let pages = async || {
        let sql = "select page_count from pragma_page_count()".to_owned();
        world.database.fetch(Purpose::Projection, sql, &[], |row| row.int(0)).await.unwrap()[0]
    };
    let before = pages().await;
    let rows = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS}) \
         insert into click_statistics_1_quarters (link, bucket, bot, clicks) \
         select printf('%080d', i), 1969000 + i, 1, zeroblob({BYTES_MAX}) from n"
    );
    world.execute(&rows, &[]).await;
    let pages = pages().await - before;
    assert!(pages < ROWS / 2, "{pages} pages");
}
