use super::*;
use crate::contract::World;
use crate::database::Database;

/// Trap: a list of tags that looks at every link, or sorts what it counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_and_their_links_are_found_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    let world = World::new(database).await;
    world.caught_up().await;
    let directory = world.models.link_directory();
    for owner in [None, Some("ann".parse().unwrap())] {
        let (prefix, tag) = ("x".parse().ok(), "x".parse().unwrap());
        let after = TaggedLink {
            key: "default/a".parse().unwrap(),
            created_at: DateTime::UNIX_EPOCH,
            sequence: Sequence(1),
            is_deleted: false,
        };
        let links = tagged_links(owner.as_ref(), &tag, Some(&after), 9);
        let query = TagQuery { owner, prefix, ..TagQuery::default() };
        for (sql, values) in [
            next_tags(&query, None, 9, " and g.deleted = 0"),
            next_tags(&query, Some("xa"), 9, " and g.deleted = 0"),
            links,
        ] {
            let sql = format!("explain query plan {sql}");
            let read = |row: &Row| Ok(row.text(3)?.to_owned());
            let plan = directory.tables.fetch(&sql, &values, read).await.unwrap();
            let tags = plan.iter().filter(|step| step.contains(" g ")).collect::<Vec<_>>();
            let by = if query.owner.is_some() {
                "PRIMARY KEY (owner=? AND tag"
            } else {
                "COVERING INDEX"
            };
            assert!(!tags.is_empty(), "{plan:?}");
            assert!(
                tags.iter().all(|step| step.starts_with(&format!("SEARCH g USING {by}"))),
                "{plan:?}"
            );
            assert!(!plan.iter().any(|step| step == "SCAN l"), "{plan:?}");
        }
    }
}

#[test]
fn what_is_behind_a_prefix_begins_with_it_no_more() {
    assert_eq!(behind(""), None);
    assert_eq!(behind("ab").as_deref(), Some("ac"));
    assert_eq!(behind("a\u{10ffff}").as_deref(), Some("b"));
    assert_eq!(behind("\u{10ffff}"), None);
    assert_eq!(behind("\u{d7ff}").as_deref(), Some("\u{e000}"));
    for prefix in ["a", "ab", "é", "日"] {
        let end = behind(prefix).unwrap();
        assert!(end.as_str() > prefix && format!("{prefix}\u{10ffff}zz") < end);
    }
}
