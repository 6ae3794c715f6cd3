//! What the link directory promises.

use std::collections::BTreeSet;

use hoplog_events::link::{
    Extras, FoundBy, LinkAppealed, LinkArchived, LinkClicksGranted, LinkDeleted,
    LinkDestinationChanged, LinkDisabled, LinkEnabled, LinkErased, LinkExpired,
    LinkExpiredUrlChanged, LinkExpiryChanged, LinkMaxClicksChanged, LinkNoted, LinkPasswordChanged,
    LinkPathForwardingChanged, LinkPreviewChanged, LinkQuarantined, LinkQueryForwardingChanged,
    LinkReleased, LinkRulesChanged, LinkSplitChanged, LinkState, LinkTagged, LinkTitled,
    LinkUnarchived, LinkValidFromChanged, QueryForwarding, Rules, Split, Tags,
};
use serde_json::json;

use super::world::{World, at, click, key};
use crate::link_directory::{Archived, LinkFilter, LinkQuery, LinkRow, LinkSort, Validity};

impl World {
    async fn row(&self, code: &str) -> LinkRow {
        self.caught_up().await;
        self.models.link_directory().get(&key(code)).await.unwrap().unwrap()
    }

    /// One page, and on to the next; no cursor is left after the last one.
    async fn page(&self, query: &mut LinkQuery) -> Vec<String> {
        let page = self.models.link_directory().list(query).await.unwrap();
        assert!(page.links.len() <= query.limit);
        query.cursor = page.next_cursor;
        page.links.into_iter().map(|(row, _)| row.key.code.to_string()).collect()
    }

    async fn codes(&self, filter: LinkFilter, sort: LinkSort, limit: usize) -> Vec<String> {
        self.caught_up().await;
        let mut query = LinkQuery { filter, sort, limit, cursor: None };
        let mut codes = Vec::new();
        loop {
            codes.extend(self.page(&mut query).await);
            if query.cursor.is_none() {
                return codes;
            }
        }
    }
}

pub(crate) async fn a_link_is_the_sum_of_its_events(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({ "title": "A \"title\"", "tags": ["x"] })).await;
    let tags = Tags::try_from(vec!["y".parse().unwrap(), "z".parse().unwrap()]).unwrap();
    world.change("a", LinkTagged { tags: tags.clone() }).await;
    world.change("a", LinkTitled { title: None }).await;
    world.change("a", LinkNoted { note: "two\nlines".parse().ok() }).await;
    world
        .change("a", LinkDestinationChanged { url: "https://example.org/ü".parse().unwrap() })
        .await;
    let row = world.row("a").await;
    assert_eq!((row.title, row.tags, row.version.0), (None, tags, 5));
    assert_eq!(row.note.unwrap().as_str(), "two\nlines");
    assert_eq!(row.url.as_str(), "https://example.org/%C3%BC");
    assert_eq!(row.created_at, at("2026-01-01T00:00:00Z"));
    world.verified().await;
}

fn quarantined() -> LinkQuarantined {
    LinkQuarantined {
        reason: "asks for passwords".parse().unwrap(),
        by: FoundBy::Blocklist,
        entry: Some("bad.example".into()),
        since: at("2026-01-02T00:00:00Z"),
    }
}

/// The same states as the rules on the write side know.
pub(crate) async fn a_state_is_what_the_last_events_made_of_it(world: World) {
    let past = at("2026-02-01T00:00:00Z");
    world.link("a", "2026-01-01T00:00:00Z", json!({ "expiresAt": "2026-02-01T00:00:00Z" })).await;
    world.change("a", LinkDisabled {}).await;
    assert_eq!(world.row("a").await.state, LinkState::Disabled);
    world.change("a", LinkExpiryChanged { expires_at: Some(past) }).await;
    assert_eq!(world.row("a").await.state, LinkState::Disabled, "still");
    world.change("a", LinkEnabled {}).await;
    assert_eq!(world.row("a").await.state, LinkState::Active);
    world.change("a", LinkExpired { expires_at: past }).await;
    assert_eq!(world.row("a").await.state, LinkState::Expired);
    world.change("a", LinkExpiryChanged { expires_at: None }).await;
    assert_eq!(world.row("a").await.state, LinkState::Active);
    world.change("a", quarantined()).await;
    world.change("a", LinkAppealed { text: "It is ours.".parse().unwrap() }).await;
    world.change("a", LinkDisabled {}).await;
    let row = world.row("a").await;
    let quarantine = row.extras.quarantine().unwrap();
    assert_eq!((row.state, quarantine.was), (LinkState::Quarantined, LinkState::Disabled));
    assert_eq!((&quarantine.begun, quarantine.appeal.is_some()), (&quarantined(), true));
    let filter = LinkFilter { state: Some(LinkState::Quarantined), ..LinkFilter::default() };
    assert_eq!(world.codes(filter, LinkSort::NewestFirst, 9).await, ["a"]);
    world.change("a", LinkReleased { entries: vec!["bad.example/page".into()] }).await;
    let row = world.row("a").await;
    let cleared: [Box<str>; 2] = ["bad.example".into(), "bad.example/page".into()];
    assert_eq!((row.state, row.extras.cleared()), (LinkState::Disabled, &cleared[..]));
    world.change("a", LinkDeleted {}).await;
    assert_eq!(world.row("a").await.state, LinkState::Deleted);
    world.verified().await;
}

/// What most links do without is in the row as the events have it, and nothing of it is left where it was
/// cleared.
pub(crate) async fn extras_of_a_link_are_the_sum_of_its_events(world: World) {
    let over = "https://example.com/over";
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNo";
    let extras = json!({
        "validFrom": "2026-04-01T00:00:00Z", "expiredUrl": over, "archived": true,
        "forwardQuery": "append", "forwardPath": true, "passwordHash": hash,
        "maxClicks": 5, "rules": [{ "when": { "visitor": "bot" }, "url": over }],
        "split": [{ "name": "a", "weight": 1 }, { "name": "b", "weight": 2, "url": over }],
        "preview": { "title": "t", "image": over },
    });
    world.link("a", "2026-01-01T00:00:00Z", extras.clone()).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({})).await;
    let rule = json!([{ "when": { "visitor": "bot" }, "url": over }]);
    let rules: Rules = serde_json::from_value(rule).unwrap();
    let split: Split = serde_json::from_value(extras["split"].clone()).unwrap();
    let all = Extras {
        valid_from: Some(at("2026-04-01T00:00:00Z")),
        expired_url: over.parse().ok(),
        archived: true,
        forward_query: Some(QueryForwarding::Append),
        forward_path: true,
        password: hash.parse().ok(),
        max_clicks: "5".parse().ok(),
        clicks_granted: 0,
        rules: rules.clone(),
        split: split.clone(),
        preview: serde_json::from_value(extras["preview"].clone()).unwrap(),
        fetched_title: None,
        oversight: None,
    };
    assert_eq!(world.row("a").await.extras, all);
    assert!(world.row("b").await.extras.is_empty());
    let granted = |count: u32, left| LinkClicksGranted { count: count.try_into().unwrap(), left };
    world.change("a", granted(2, 3)).await;
    world.change("a", granted(1, 2)).await;
    assert_eq!(world.row("a").await.extras, Extras { clicks_granted: 3, ..all });
    world.change("a", LinkMaxClicksChanged { max_clicks: None }).await;
    world.change("a", LinkValidFromChanged { valid_from: None }).await;
    world.change("a", LinkUnarchived {}).await;
    world.change("a", LinkQueryForwardingChanged { forward_query: None }).await;
    world.change("a", LinkPathForwardingChanged { forward_path: false }).await;
    world.change("a", LinkPasswordChanged { password: None }).await;
    world.change("a", LinkRulesChanged { rules: Rules::default() }).await;
    world.change("a", LinkSplitChanged { split: Split::default() }).await;
    world.change("a", LinkPreviewChanged { preview: None }).await;
    world.change("b", LinkRulesChanged { rules: rules.clone() }).await;
    world.change("b", LinkSplitChanged { split: split.clone() }).await;
    world.change("b", LinkPasswordChanged { password: hash.parse().ok() }).await;
    world.change("b", LinkExpiredUrlChanged { expired_url: over.parse().ok() }).await;
    world.change("b", LinkArchived {}).await;
    let left = Extras { expired_url: over.parse().ok(), ..Extras::default() };
    assert_eq!(world.row("a").await.extras, left);
    let (archived, password) = (true, hash.parse().ok());
    assert_eq!(world.row("b").await.extras, Extras { archived, password, rules, split, ..left });
    world.change("b", LinkDeleted {}).await;
    world.change("b", LinkErased {}).await;
    assert!(world.row("b").await.extras.is_empty());
    world.verified().await;
}

pub(crate) async fn lists_are_filtered(world: World) {
    world
        .link("a", "2026-01-01T00:00:00Z", json!({ "tags": ["x", "y"], "title": "Launch 100%_" }))
        .await;
    world
        .link("b", "2026-01-02T00:00:00Z", json!({ "owner": "bob", "url": "https://b.example/" }))
        .await;
    world.link("c", "2026-01-03T00:00:00Z", json!({ "tags": ["x"] })).await;
    world.change("c", LinkDeleted {}).await;
    let later = json!({ "archived": true, "externalId": "e", "validFrom": "2026-02-01T00:00:00Z" });
    world.link("d", "2026-01-03T12:00:00Z", later).await;
    let all = LinkFilter::default;
    let (archived, only) = (Archived::Include, Archived::Only);
    let validity = |begun: bool, instant: &str| {
        Some(if begun { Validity::Begun(at(instant)) } else { Validity::ToCome(at(instant)) })
    };
    let (before, since) = ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z");
    let cases = [
        (all(), vec!["a", "b"]),
        (LinkFilter { owner: "bob".parse().ok(), ..all() }, vec!["b"]),
        (LinkFilter { tag: "x".parse().ok(), ..all() }, vec!["a"]),
        (LinkFilter { tag: "x\ny".parse().ok(), ..all() }, vec!["a", "b"]),
        (LinkFilter { state: Some(LinkState::Deleted), ..all() }, vec!["c"]),
        (LinkFilter { text: Some("LAUNCH 100%_".into()), ..all() }, vec!["a"]),
        (LinkFilter { text: Some("launch_100".into()), ..all() }, vec![]),
        (LinkFilter { url: "https://b.example/".parse().ok(), ..all() }, vec!["b"]),
        (LinkFilter { created_after: Some(at("2026-01-02T00:00:00Z")), ..all() }, vec!["b"]),
        (LinkFilter { created_before: Some(at("2026-01-02T00:00:00Z")), ..all() }, vec!["a"]),
        (LinkFilter { archived, ..all() }, vec!["a", "b", "d"]),
        (LinkFilter { archived: only, ..all() }, vec!["d"]),
        (LinkFilter { external_id: "e".parse().ok(), ..all() }, vec![]),
        (LinkFilter { external_id: "e".parse().ok(), archived, ..all() }, vec!["d"]),
        (LinkFilter { validity: validity(false, before), archived, ..all() }, vec!["d"]),
        (LinkFilter { validity: validity(false, since), archived, ..all() }, vec![]),
        (LinkFilter { validity: validity(true, before), archived, ..all() }, vec!["a", "b"]),
        (LinkFilter { validity: validity(true, since), archived, ..all() }, vec!["a", "b", "d"]),
    ];
    for (filter, expected) in cases {
        let shown = format!("{filter:?}");
        assert_eq!(world.codes(filter, LinkSort::Code, 10).await, expected, "{shown}");
    }
}

pub(crate) async fn every_sort_shows_every_link_once_page_by_page(world: World) {
    let expected: BTreeSet<String> = (0..23).map(|n| format!("c{n}")).collect();
    for (n, code) in expected.iter().enumerate() {
        // Several at one instant: the key of a page has to tell them apart.
        world.link(code, &format!("2026-01-01T00:00:0{}Z", n % 4), json!({})).await;
    }
    let clicks = (0..60).map(|n| click(&format!("c{}", n % 11), "2026-03-01T00:00:00Z", json!({})));
    world.clicks(clicks.collect()).await;
    for sort in
        [LinkSort::NewestFirst, LinkSort::OldestFirst, LinkSort::Code, LinkSort::MostClicked]
    {
        for limit in [1, 4, 100] {
            let codes = world.codes(LinkFilter::default(), sort, limit).await;
            assert_eq!(codes.len(), expected.len(), "{sort:?} by {limit}");
            assert_eq!(codes.into_iter().collect::<BTreeSet<_>>(), expected, "{sort:?} by {limit}");
        }
    }
}

/// The order moves while clicks come in: nothing comes twice, and only what overtakes the cursor
/// is left out.
pub(crate) async fn links_by_clicks_come_once_while_clicks_come_in(world: World) {
    let visits = async |code: String, count: usize| {
        let visit = click(&code, "2026-03-01T00:00:00Z", json!({}));
        world.clicks(vec![visit; count]).await;
        world.caught_up().await;
    };
    for n in 1..=10 {
        world.link(&format!("c{n}"), "2026-01-01T00:00:00Z", json!({})).await;
        visits(format!("c{n}"), n).await;
    }
    let mut query = LinkQuery {
        filter: LinkFilter::default(),
        sort: LinkSort::MostClicked,
        cursor: None,
        limit: 4,
    };
    assert_eq!(world.page(&mut query).await, ["c10", "c9", "c8", "c7"]);
    // One that was shown, one that overtakes the cursor, one that stays behind it.
    visits("c9".into(), 5).await;
    visits("c1".into(), 50).await;
    visits("c2".into(), 2).await;
    assert_eq!(world.page(&mut query).await, ["c6", "c5", "c4", "c2"]);
    assert_eq!(world.page(&mut query).await, ["c3"]);
    assert_eq!(query.cursor, None);
}

/// Trap 5: somebody else's, an expired or a disabled link is none to reuse.
pub(crate) async fn a_link_is_reused_only_by_its_owner_while_it_lives(world: World) {
    world.link("live", "2026-01-01T00:00:00Z", json!({})).await;
    world.link("bobs", "2026-01-01T00:00:00Z", json!({ "owner": "bob" })).await;
    world.link("off", "2026-01-01T00:00:00Z", json!({})).await;
    world.change("off", LinkDisabled {}).await;
    world
        .link("past", "2026-01-01T00:00:00Z", json!({ "expiresAt": "2026-02-01T00:00:00Z" }))
        .await;
    world.link("else", "2026-01-01T00:00:00Z", json!({ "url": "https://example.com/else" })).await;
    world.caught_up().await;
    let (owner, url) = ("ann".parse().unwrap(), "https://example.com/".parse().unwrap());
    let now = at("2026-02-01T00:00:00Z");
    let found = world
        .models
        .link_directory()
        .find_reusable(&owner, (&hoplog_events::link::Domain::service(), &url), now)
        .await
        .unwrap();
    let codes: Vec<_> = found.iter().map(|row| row.key.code.as_str()).collect();
    assert_eq!(codes, ["live"]);
}

pub(crate) async fn due_links_are_those_whose_end_has_come(world: World) {
    let ends = |end: &str| json!({ "expiresAt": end });
    world.link("second", "2026-01-01T00:00:00Z", ends("2026-02-02T00:00:00Z")).await;
    world.link("first", "2026-01-01T00:00:00Z", ends("2026-02-01T00:00:00Z")).await;
    world.link("later", "2026-01-01T00:00:00Z", ends("2026-02-02T00:00:01Z")).await;
    world.link("never", "2026-01-01T00:00:00Z", json!({})).await;
    world.link("noted", "2026-01-01T00:00:00Z", ends("2026-02-01T00:00:00Z")).await;
    world.change("noted", LinkExpired { expires_at: at("2026-02-01T00:00:00Z") }).await;
    world.caught_up().await;
    let now = at("2026-02-02T00:00:00Z");
    let due = |limit| async move { world.models.link_directory().due_for_expiry(now, limit).await };
    let rows = due(10).await.unwrap();
    let codes: Vec<_> = rows.iter().map(|row| row.key.code.as_str()).collect();
    assert_eq!(codes, ["first", "second"]);
}
