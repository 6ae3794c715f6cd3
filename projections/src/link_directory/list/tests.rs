use super::*;
use crate::contract::World;
use crate::database::Database;

impl LinkDirectory {
    /// How many links the index of texts gives for a text.
    pub(crate) async fn count_with_text(&self, text: &str) -> i64 {
        let gather::Source { sql, values } = self.with_text(text).await.unwrap().unwrap();
        let sql = format!("select count(*) from ({sql}) s");
        self.tables.fetch(&sql, &values, |row| row.int(0)).await.unwrap()[0]
    }
}

/// How SQLite answers a statement, step by step.
async fn plan(world: &World, (sql, values): (String, Vec<crate::database::Value>)) -> String {
    let tables = &world.models.link_directory().tables;
    let mut steps = Vec::new();
    tables
        .for_each(&format!("explain query plan {sql}"), &values, |row| {
            steps.push(row.text(3)?.to_owned());
            Ok(())
        })
        .await
        .unwrap();
    steps.join("\n")
}

/// Every link by every filter, and what the plan has to begin with: the index whose order it is.
fn walks() -> Vec<(LinkSort, LinkFilter, Vec<&'static str>)> {
    let all = LinkFilter::default;
    let owner = LinkFilter { owner: "ann".parse().ok(), text: Some("xy".into()), ..all() };
    let tag = LinkFilter { tag: "x".parse().ok(), text: Some("text".into()), ..all() };
    let both = LinkFilter { owner: "ann".parse().ok(), ..tag.clone() };
    let (newest, oldest) = (LinkSort::NewestFirst, LinkSort::OldestFirst);
    let clicked = "SEARCH t USING INDEX click_statistics_1_totals_by_clicks (<expr>";
    let by_clicks =
        vec![clicked, clicked, "SCAN l USING INDEX sqlite_autoindex_link_directory_1_links_1"];
    vec![
        (newest, all(), vec!["SEARCH l USING INDEX link_directory_1_links_by_creation"]),
        (
            oldest,
            owner.clone(),
            vec!["SEARCH l USING INDEX link_directory_1_links_by_owner (owner=?"],
        ),
        (
            newest,
            tag.clone(),
            vec!["SEARCH g USING COVERING INDEX link_directory_1_tags_by_tag (tag=?"],
        ),
        (oldest, both.clone(), vec!["SEARCH g USING PRIMARY KEY (owner=? AND tag=?"]),
        (LinkSort::Code, both.clone(), vec!["SEARCH l USING INDEX link_directory_1_links_by_code"]),
        (LinkSort::MostClicked, all(), by_clicks.clone()),
        (LinkSort::MostClicked, both, by_clicks),
    ]
}

/// Trap: a page that sorts all links there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_read_in_the_order_of_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    let world = World::new(database).await;
    world.caught_up().await;
    for (sort, filter, begins) in walks() {
        let order = sort.order();
        let value = if order.numeric { 7_i64.into() } else { "c".into() };
        let place = Place { value, link: "default/c".into() };
        let statements = Statement::walks(&filter, &order, Some(&place));
        assert_eq!(statements.len(), begins.len());
        for (statement, begin) in statements.into_iter().zip(begins) {
            let plan = plan(&world, statement.finish(51)).await;
            assert!(plan.starts_with(begin), "{sort:?} {filter:?}\n{plan}");
            let is_walked = |step: &str| !step.starts_with("SCAN") || step.starts_with(begin);
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
            assert!(plan.lines().all(is_walked), "{filter:?}\n{plan}");
        }
    }
}

/// Trap: few links that are found by an index, and then by looking at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_links_are_looked_at_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    let world = World::new(database).await;
    world.caught_up().await;
    let directory = world.models.link_directory();
    let all = LinkFilter::default;
    let cases = [
        (LinkFilter { text: Some("text".into()), ..all() }, "links_texts VIRTUAL TABLE INDEX 0:M"),
        (
            LinkFilter { owner: "ann".parse().ok(), ..all() },
            "link_directory_1_links_by_owner (owner=?",
        ),
        (LinkFilter { tag: "x".parse().ok(), ..all() }, "link_directory_1_tags_by_tag (tag=?"),
        (
            LinkFilter { external_id: "e".parse().ok(), ..all() },
            "links_by_external_id (external_id=?",
        ),
    ];
    for (filter, index) in cases {
        let order = LinkSort::MostClicked.order();
        let mut sources = gather::sources(&filter, &order);
        if let Some(text) = &filter.text {
            sources.extend(directory.with_text(text).await.unwrap());
        }
        let gather::Source { sql, values } = sources.remove(0);
        let found = plan(&world, (format!("{sql} limit 5001"), values)).await;
        assert!(found.contains(index) && found.lines().count() == 1, "{found}");
        let statement = Statement::gather(&[1, 2], &filter, &order, None);
        let plan = plan(&world, statement.finish(51)).await;
        assert!(plan.contains("SEARCH l USING INTEGER PRIMARY KEY"), "{plan}");
        assert!(!plan.contains("SCAN l") && !plan.contains("SCAN t"), "{plan}");
    }
}
