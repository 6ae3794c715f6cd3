//! What is left by those who died, whose it is, and what can't be finished.

use hoplog_projections::erasures::Begun;

use super::*;
use crate::app::erasure::keeping::LEFT_AFTER;

impl World {
    /// Notes something for a log, as if it had been begun there.
    async fn note(&self, log: LogId, plan: &str) -> Uuid {
        let id = Uuid::now_v7();
        self.app.erasures.begin(&Begun { id, log, plan: plan.to_owned() }).await.unwrap();
        id
    }

    /// A plan for the first click of the batch that is at a place, whether there is one or not.
    async fn plan(&self, at: Sequence) -> String {
        let event = self.events(Topic::Clicks).await.remove(0).decode().unwrap().unwrap().id;
        let record = record(event);
        let asked = Asked { actor: "key:test".into(), now: self.app.clock.now() };
        let clicks = [AnonymousClick { sequence: at, record }];
        serde_json::to_string(&Plan::clicks(&asked, &clicks)).unwrap()
    }

    async fn notes(&self) -> Vec<Uuid> {
        let (mut after, mut notes) = (Uuid::nil(), Vec::new());
        while let Some(begun) = self.app.erasures.next(after).await.unwrap() {
            after = begun.id;
            notes.push(begun.id);
        }
        notes
    }
}

/// The event that ends the link landed, and nobody knows: neither whoever asked, nor the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_end_was_not_answered_is_erased_by_whoever_finds_the_note() {
    let mut world = World::new().await;
    let key = world.link("a", None).await;
    world.mute().await;
    let failed = world.app.erase_link(&world.issuer(), None, &key, None).await.unwrap_err();
    assert!(matches!(failed, ErasureError::Log(_)), "{failed}");
    world.unmute().await;
    assert!(world.link_has_some(&key).await);
    world.finish().await.unwrap();
    assert!(!world.link_has_some(&key).await && !world.begun().await);
    // Who is refused leaves nothing to be done.
    let nothere = LinkKey { code: "nothere".parse().unwrap(), ..key };
    world.app.erase_link(&world.issuer(), None, &nothere, None).await.unwrap_err();
    assert!(!world.begun().await);
}

/// Nobody meddles with what is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_just_now_is_left_to_whoever_began_it() {
    let world = World::new().await;
    let key = world.link("a", None).await;
    world.app.commands.end_link(&world.issuer(), None, &key, None).await.unwrap();
    world.app.begin_erasure(&Plan::Link(key.clone())).await.unwrap();
    world.app.finish_erasures(LEFT_AFTER).await.unwrap();
    assert!(world.begun().await && world.link_has_some(&key).await);
    world.finish().await.unwrap();
    assert!(!world.begun().await && !world.link_has_some(&key).await);
    // Clicks are his who erases clicks just now, for as long as that takes.
    world.clicks(1).await;
    let noted = world.note(world.app.log.id(), &world.plan(Sequence(1)).await).await;
    let no_builds = world.app.read_models.keep_from_building(clicks::NAME).await.unwrap();
    world.finish().await.unwrap();
    assert_eq!(world.notes().await, [noted]);
    no_builds.end().await.unwrap();
    world.finish().await.unwrap();
    assert!(!world.begun().await);
    assert_eq!(world.told().await.len(), 1);
}

/// Written by another version, or of a click that this log does not have (yet).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_finished_is_in_nobodys_way() {
    let world = World::new().await;
    world.clicks(2).await;
    let key = world.link("a", None).await;
    world.app.commands.end_link(&world.issuer(), None, &key, None).await.unwrap();
    let log = world.app.log.id();
    let unknown = world.note(log, "{\"ofTheFuture\":1}").await;
    let ahead = world.note(log, &world.plan(Sequence(1_000)).await).await;
    world.app.begin_erasure(&Plan::Link(key.clone())).await.unwrap();
    world.note(log, &world.plan(Sequence(1)).await).await;
    let failed = world.finish().await.unwrap_err();
    assert!(matches!(failed, ErasureError::Log(EraseError::Unavailable(_))), "{failed}");
    assert!(!world.link_has_some(&key).await);
    assert_eq!(world.told().await.len(), 1);
    assert_eq!(world.notes().await, [unknown, ahead]);
    let erasure = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap();
    assert_eq!((erasure.events, erasure.clicks), (1, 1));
    assert_eq!(world.notes().await, [unknown, ahead]);
}

/// The log was moved by an export, or this node was started with another one by mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_on_another_log_is_kept_and_links_are_finished() {
    let world = World::new().await;
    world.clicks(1).await;
    let (ended, alive) = (world.link("a", None).await, world.link("b", None).await);
    world.app.commands.end_link(&world.issuer(), None, &ended, None).await.unwrap();
    let other = LogId(Uuid::new_v4());
    let clicks = world.note(other, &world.plan(Sequence(1)).await).await;
    let plan = |key: &LinkKey| serde_json::to_string(&Plan::Link(key.clone())).unwrap();
    world.note(other, &plan(&ended)).await;
    let of_alive = world.note(other, &plan(&alive)).await;
    world.finish().await.unwrap();
    assert!(!world.link_has_some(&ended).await && world.link_has_some(&alive).await);
    assert!(world.told().await.is_empty() && world.log_has("00000000000000aa").await);
    assert_eq!(world.notes().await, [clicks, of_alive]);
}

/// All clicks of a visitor are noted before the first is touched: also those that one event has no
/// room for are finished without being asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_was_begun_of_a_visitor_is_finished_however_many_clicks_he_made() {
    let mut world = World::new().await;
    let clicks = EVENT_CLICKS_MAX + 1;
    world.clicks(clicks).await;
    world.mute().await;
    let failed = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap_err();
    assert!(matches!(failed, ErasureError::Log(_)), "{failed}");
    world.unmute().await;
    assert_eq!(world.notes().await.len(), 2);
    assert!(world.log_has("00000000000000aa").await && world.told().await.is_empty());
    world.finish().await.unwrap();
    assert!(!world.log_has("00000000000000aa").await && !world.begun().await);
    assert_eq!(world.told().await.len(), clicks);
}

/// Whoever asks again while nothing can be told finds what he noted, and notes no more than what is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_that_are_noted_are_not_noted_again() {
    let mut world = World::new().await;
    world.clicks(3).await;
    world.mute().await;
    for clicks in [3, 3, 4] {
        if clicks == 4 {
            world.clicks(1).await;
        }
        let failed = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap_err();
        assert!(matches!(failed, ErasureError::Log(EraseError::Unavailable(_))), "{failed}");
        let mut noted = 0;
        for id in world.notes().await {
            noted +=
                world.app.noted_clicks(id).await.unwrap().map_or(0, |(_, clicks)| clicks.len());
        }
        assert_eq!(noted, clicks);
    }
    world.unmute().await;
    let erasure = world.app.erase_visitor(&world.issuer(), &HIS).await.unwrap();
    assert_eq!((erasure.events, erasure.clicks), (0, 0), "all were noted");
    assert_eq!(world.told().await.len(), 4);
    assert!(!world.begun().await && !world.log_has("00000000000000aa").await);
}
