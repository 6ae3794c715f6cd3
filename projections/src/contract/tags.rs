//! What lists of tags promise.

use hoplog_events::link::{LinkDeleted, LinkErased, LinkTagged, Tag};
use serde_json::json;

use super::world::{World, key};
use crate::link_directory::{TagPage, TagQuery};

/// Whose, which prefix, and what is listed.
type Case = (Option<&'static str>, &'static str, &'static [(&'static str, u64)]);

impl World {
    async fn linked(&self, code: &str, owner: &str, tags: &[&str]) {
        let fields = json!({ "owner": owner, "tags": tags });
        self.link(code, "2026-01-01T00:00:00Z", fields).await;
    }

    async fn some_tags(&self) {
        self.linked("a", "ann", &["x", "spring", "spring/1"]).await;
        self.linked("b", "ann", &["x", "spring\u{10ffff}!"]).await;
        self.linked("c", "bob", &["x", "100%_", "Ünder"]).await;
        self.linked("d", "ann", &["gone", "x", "spring"]).await;
        self.linked("e", "ann", &["at first"]).await;
        self.change("d", LinkDeleted {}).await;
        let tags = vec!["sprinh".parse().unwrap()].try_into().unwrap();
        self.change("e", LinkTagged { tags }).await;
        self.caught_up().await;
    }

    /// All pages of so many tags.
    async fn tags(&self, owner: Option<&str>, prefix: &str, limit: usize) -> Vec<(String, u64)> {
        let (owner, prefix) = (owner.map(|owner| owner.parse().unwrap()), prefix.parse().ok());
        let mut query = TagQuery { owner, prefix, cursor: None, limit };
        let mut all = Vec::new();
        loop {
            let TagPage { tags, next_cursor } =
                self.models.link_directory().tags(&query).await.unwrap();
            assert!(tags.len() <= limit && (next_cursor.is_none() || tags.len() == limit));
            all.extend(tags.into_iter().map(|(tag, links)| (tag.to_string(), links)));
            query.cursor = next_cursor;
            if query.cursor.is_none() {
                return all;
            }
        }
    }
}

/// In the order of their bytes; what only deleted links have is none.
pub(crate) async fn tags_are_listed_with_how_many_links_have_them(world: World) {
    assert_eq!(world.tags(None, "", 10).await, []);
    world.some_tags().await;
    let cases: [Case; 9] = [
        (
            None,
            "",
            &[
                ("100%_", 1),
                ("spring", 1),
                ("spring/1", 1),
                ("spring\u{10ffff}!", 1),
                ("sprinh", 1),
                ("x", 3),
                ("Ünder", 1),
            ],
        ),
        (Some("bob"), "", &[("100%_", 1), ("x", 1), ("Ünder", 1)]),
        (Some("ann"), "x", &[("x", 2)]),
        (Some("ann"), "spring", &[("spring", 1), ("spring/1", 1), ("spring\u{10ffff}!", 1)]),
        (None, "spring/", &[("spring/1", 1)]),
        (None, "100%", &[("100%_", 1)]),
        (None, "_", &[]),
        (None, "gone", &[]),
        (Some("nobody"), "", &[]),
    ];
    for (owner, prefix, expected) in cases {
        let expected: Vec<_> =
            expected.iter().map(|(tag, links)| ((*tag).to_owned(), *links)).collect();
        for limit in [1, 2, 100] {
            let listed = world.tags(owner, prefix, limit).await;
            assert_eq!(listed, expected, "{owner:?} {prefix:?} by {limit}");
        }
    }
    let directory = world.models.link_directory();
    let has = async |owner: Option<&str>, tag: &str| {
        let owner = owner.map(|owner| owner.parse().unwrap());
        directory.has_tag(owner.as_ref(), &tag.parse().unwrap()).await.unwrap()
    };
    assert!(has(None, "Ünder").await && !has(Some("ann"), "Ünder").await);
    assert!(!has(None, "gone").await && !has(None, "at first").await);
    world.change("b", LinkDeleted {}).await;
    world.change("b", LinkErased {}).await;
    world.verified().await;
    assert_eq!(world.tags(Some("ann"), "x", 10).await, [("x".to_owned(), 1)]);
    world.models.rebuild("link_directory").await.unwrap();
    assert_eq!(world.tags(Some("ann"), "x", 10).await, [("x".to_owned(), 1)]);
    world.verified().await;
}

/// Tables of the version before answer until those of this one are built: they do not know which links were
/// deleted.
pub(crate) async fn tags_of_the_version_before_are_listed(world: World) {
    world.some_tags().await;
    world.models.stop_projecting().await;
    world.execute("alter table link_directory_1_tags rename to tags_of_now", &[]).await;
    let before = "create table link_directory_1_tags as select link, tag, owner, created_at, number \
                  from tags_of_now";
    world.execute(before, &[]).await;
    let query = TagQuery { limit: 5, ..TagQuery::default() };
    let directory = world.models.link_directory();
    assert!(directory.tags(&query).await.is_err(), "they are of this version");
    world.execute("update projections set version = 9 where name = 'link_directory'", &[]).await;
    let expected = [("gone".to_owned(), 1)];
    assert_eq!(world.tags(Some("ann"), "gone", 5).await, expected);
    assert_eq!(world.tags(None, "x", 5).await, [("x".to_owned(), 4)]);
}

pub(crate) async fn links_with_a_tag_come_once_page_by_page(world: World) {
    let mut expected = Vec::new();
    for n in 0..7 {
        let owner = if n == 4 { "bob" } else { "ann" };
        let code = format!("c{n}");
        // Several at one instant: the key of a page has to tell them apart.
        let created = format!("2026-01-01T00:00:0{}Z", n / 3);
        let fields = json!({ "owner": owner, "tags": ["x", format!("t{n}")] });
        let position = world.link(&code, &created, fields).await;
        expected.push((key(&code), position.sequence, n == 2));
    }
    let deleted = world.change("c2", LinkDeleted {}).await;
    expected[2].1 = deleted.sequence;
    world.caught_up().await;
    let tag: Tag = "x".parse().unwrap();
    let directory = world.models.link_directory();
    for limit in [1, 3, 100] {
        for owner in [None, Some("ann".parse().unwrap())] {
            let (mut after, mut found) = (None, Vec::new());
            loop {
                let page =
                    directory.links_with_tag(owner.as_ref(), &tag, after.as_ref(), limit).await;
                let Some(last) = page.as_ref().unwrap().last().cloned() else { break };
                found.extend(page.unwrap().into_iter().map(|l| (l.key, l.sequence, l.is_deleted)));
                after = Some(last);
            }
            let mut expected = expected.clone();
            expected.retain(|(link, ..)| owner.is_none() || *link != key("c4"));
            assert_eq!(found, expected, "{owner:?} by {limit}");
        }
    }
}
