//! What an erasure makes of the tables: what a rebuild from the rewritten log gives.

use hoplog_events::click::{ClicksErased, ErasedClickRecord, VisitorHash};
use hoplog_events::erasure::{ErasedClick, erase_clicks, erase_link};
use hoplog_events::link::{LinkDeleted, LinkErased, LinkState, LinkTitled};
use hoplog_events::log::{ReadLimit, Rewrite};
use hoplog_events::position::{Sequence, StreamId, Topic, Version};
use serde_json::json;
use uuid::Uuid;

use super::world::{CHROME, World, at, click, key};
use crate::checkpoint::set_numbers;
use crate::clicks::{BotFilter, ClickQuery, ClickRow, Place, Visit, Visitor};
use crate::database::{Purpose, Row};
use crate::read_models::OperationError;
use crate::runner::WorkerError;
use crate::sketch::surrogate;
use crate::user_agents::UserAgents;

const AGENT: &str = "Mozilla/5.0 (Linux; Android 13; Telltale) AppleWebKit/537.36 \
                     (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";

const HIS: Visitor = Visitor::Hash(VisitorHash(0xaa));

impl World {
    /// Clicks of two visitors on two links.
    async fn visits_of_two(&self, batches: usize) {
        for batch in 0..batches {
            let clicks = (0..40).map(|n| {
                let (visitor, agent, address) = if n % 4 == 0 {
                    ("00000000000000aa", AGENT, "192.0.2.1")
                } else {
                    ("00000000000000bb", CHROME, "192.0.2.2")
                };
                let at = format!("2026-0{}-01T00:00:{:02}Z", 1 + batch % 9, n % 7);
                let fields = json!({ "visitor": visitor, "userAgent": agent, "address": address });
                click(if n % 3 == 0 { "a" } else { "b" }, &at, fields)
            });
            self.clicks(clicks.collect()).await;
        }
        self.caught_up().await;
    }

    async fn found(&self, visitor: &Visitor) -> Vec<Visit> {
        let up_to = self.log.head(Topic::Clicks).await.unwrap().sequence;
        let (clicks, mut place, mut found) = (self.models.clicks(), Some(Place::START), Vec::new());
        while let Some(after) = place {
            let (visits, next) = clicks.of_visitor(visitor, after, up_to).await.unwrap();
            found.extend(visits);
            place = next;
        }
        found
    }

    /// Erases these clicks from the log; not yet from the tables.
    async fn rewrite(&self, visits: &[Visit]) -> Vec<ErasedClickRecord> {
        let mut records = Vec::new();
        for visit in visits {
            let record = anonymous(visit);
            let before = Sequence(visit.sequence.0 - 1);
            let limit = ReadLimit { events_max: 1, bytes_max: 1 };
            let event = self.log.read_all(Topic::Clicks, before, limit).await.unwrap().remove(0);
            let (visitor, user_agent) = (record.visitor, record.user_agent.clone());
            let erased = ErasedClick { place: visit.place, visitor, user_agent };
            let body = erase_clicks(&event, &[erased]).unwrap().unwrap();
            let (topic, sequence) = (Topic::Clicks, visit.sequence);
            let (command_id, read) = (event.command_id, event.body.clone());
            let rewrite = Rewrite { topic, sequence, command_id, read, body };
            self.log.rewrite(vec![rewrite]).await.unwrap();
            records.push(record);
        }
        records
    }

    async fn tell(&self, clicks: &[ErasedClickRecord]) {
        let stream = StreamId::new(Topic::Clicks, format!("erasures/{}", Uuid::new_v4()));
        let event = ClicksErased { clicks: clicks.to_vec() };
        self.append(stream, event.into(), at("2026-10-01T00:00:00Z")).await;
        self.caught_up().await;
    }

    async fn rows(&self, code: &str) -> Vec<ClickRow> {
        let (link, bots, limit) = (key(code), BotFilter::Include, 1_000);
        let query = ClickQuery { link, from: None, to: None, bots, cursor: None, limit };
        self.models.clicks().list(&query).await.unwrap().clicks
    }

    /// Whether a text is in any set of tables of clicks.
    async fn clicks_hold(&self, text: &str) -> bool {
        for number in set_numbers(&self.database, "clicks").await.unwrap() {
            let sql = format!(
                "select count(*) from clicks_{number}_clicks \
                 where coalesce(user_agent, '') || coalesce(address, '') like $1"
            );
            let values = [format!("%{text}%").into()];
            let read = |row: &Row| row.count(0);
            let found = self.database.fetch(Purpose::Lookup, sql, &values, read).await.unwrap();
            if found != [0] {
                return true;
            }
        }
        false
    }
}

fn anonymous(visit: &Visit) -> ErasedClickRecord {
    let agents = UserAgents::default();
    let user_agent = visit.user_agent.as_deref().map(|agent| agents.erased(agent).into());
    ErasedClickRecord {
        event: visit.event,
        place: u32::try_from(visit.place).unwrap(),
        domain: visit.link.domain.clone(),
        code: visit.link.code.clone(),
        at: visit.at,
        visitor: surrogate(visit.visitor, visit.event, visit.place),
        user_agent,
    }
}

pub(crate) async fn an_erased_link_leaves_the_row_that_a_rebuild_gives(world: World) {
    let fields = json!({
        "url": "https://telltale.example/", "title": "telltale", "note": "telltale",
        "tags": ["telltale"], "externalId": "telltale",
    });
    world.link("a", "2026-01-01T00:00:00Z", fields.clone()).await;
    world.link("b", "2026-01-01T00:00:00Z", fields).await;
    world.change("a", LinkTitled { title: Some("telltale again".parse().unwrap()) }).await;
    world.change("a", LinkDeleted {}).await;
    world.change("a", LinkErased {}).await;
    world.caught_up().await;
    let directory = world.models.link_directory();
    let row = async |code| directory.get(&key(code)).await.unwrap().unwrap();
    let erased = row("a").await;
    assert_eq!(
        (erased.state, erased.url.as_str()),
        (LinkState::Deleted, "https://erased.invalid/")
    );
    assert!(erased.title.is_none() && erased.note.is_none() && erased.external_id.is_none());
    assert!(erased.tags.is_empty());
    assert_eq!(row("b").await.tags.iter().count(), 1, "another one is as it was");
    for event in world.log.read(&key("a").stream(), Version::NONE).await.unwrap() {
        let Some(body) = erase_link(&event).unwrap() else { continue };
        let (topic, sequence) = (Topic::Links, event.position.sequence);
        let (command_id, read) = (event.command_id, event.body.clone());
        let rewrite = Rewrite { topic, sequence, command_id, read, body };
        world.log.rewrite(vec![rewrite]).await.unwrap();
    }
    world.verified().await;
    world.models.rebuild("link_directory").await.unwrap();
    assert_eq!(row("a").await, erased);
    world.verified().await;
}

pub(crate) async fn erased_clicks_are_the_rows_that_a_rebuild_gives(world: World) {
    world.visits_of_two(12).await;
    let others = async |code| {
        let mut rows = world.rows(code).await;
        rows.retain(|row| row.visitor == 0xbb);
        rows
    };
    let before = [others("a").await, others("b").await];
    let visits = world.found(&HIS).await;
    assert_eq!(visits.len(), 120);
    // Of another event at the same instant of the same link: a log that was put back has such ones.
    let stranger = ErasedClickRecord { event: Uuid::new_v4(), ..anonymous(&visits[0]) };
    world.tell(&[stranger]).await;
    assert_eq!(world.found(&HIS).await, visits, "no row is another event's");
    let mut records = world.rewrite(&visits).await;
    world.tell(&records[..70]).await;
    assert_eq!(world.found(&HIS).await.len(), 50, "of the others nothing was told yet");
    world.tell(&records[70..]).await;
    assert!(world.found(&HIS).await.is_empty());
    assert!(!world.clicks_hold("Telltale").await && !world.clicks_hold("192.0.2.1").await);
    assert_eq!([others("a").await, others("b").await], before);
    world.verified().await;
    let anonymous = world.rows("a").await;
    for name in super::NAMES {
        world.models.rebuild(name).await.unwrap();
    }
    assert_eq!(world.rows("a").await, anonymous);
    // Told again it changes nothing, also of clicks that are not there.
    records[0].event = Uuid::new_v4();
    world.tell(&records).await;
    assert_eq!(world.rows("a").await, anonymous);
    world.verified().await;
}

pub(crate) async fn a_visitors_clicks_are_found_page_by_page(world: World) {
    // More than are on a page, and more events than are looked through at once.
    world.visits_of_two(60).await;
    for _ in 0..1_050 {
        let fields = json!({ "visitor": "00000000000000cc", "address": "::ffff:192.0.2.9" });
        world.clicks(vec![click("c", "2026-03-01T00:00:00Z", fields)]).await;
    }
    world.caught_up().await;
    let count = async |visitor: Visitor| {
        let found = world.found(&visitor).await;
        assert!(found.is_sorted_by_key(|visit| (visit.sequence, visit.place)));
        found.len()
    };
    let address = |text: &str| Visitor::Address(text.parse().unwrap());
    assert_eq!(count(HIS).await, 600);
    assert_eq!(count(Visitor::Hash(VisitorHash(0xcc))).await, 1_050);
    assert_eq!(count(Visitor::Hash(VisitorHash(0xdd))).await, 0);
    assert_eq!(count(address("192.0.2.1")).await, 600);
    assert_eq!(count(address("192.0.2.9")).await, 1_050);
    assert_eq!(count(address("::ffff:192.0.2.9")).await, 1_050);
    assert_eq!(count(address("2001:db8::1")).await, 0);
}

pub(crate) async fn tables_from_before_are_dropped_with_what_is_erased(world: World) {
    const ROLLBACK: &str = "insert into builds \
        (projection, builder, table_set, purpose, ends, done, total, facts, started) \
        values ('clicks', 'x', 1, 'rollback', 9000000000000000, 0, 0, 0, 0)";
    world.visits_of_two(3).await;
    world.models.rebuild("clicks").await.unwrap();
    let visits = world.found(&HIS).await;
    let records = world.rewrite(&visits).await;
    world.tell(&records).await;
    assert!(world.clicks_hold("Telltale").await, "the tables from before do");
    world.execute(ROLLBACK, &[]).await;
    let refused = world.models.drop_unread("clicks").await;
    let Err(OperationError::Failed(WorkerError::Building(_))) = refused else {
        panic!("{refused:?}")
    };
    world.execute("delete from builds", &[]).await;
    world.models.drop_unread("clicks").await.unwrap();
    assert!(!world.clicks_hold("Telltale").await);
    let none = world.models.rollback("clicks").await;
    assert!(matches!(none, Err(OperationError::Failed(WorkerError::NoPrevious(_)))), "{none:?}");
    world.models.drop_unread("clicks").await.unwrap();
    world.models.scrub().await.unwrap();
    world.verified().await;
}

/// A link's erasure lets nothing of killed builders be, and everything of those who build.
pub(crate) async fn tables_that_killed_builders_left_of_links_are_dropped_with_what_is_erased(
    world: World,
) {
    const CLAIM: &str = "insert into builds \
        (projection, builder, table_set, purpose, ends, done, total, facts, started) \
        values ('link_directory', 'x', 1, 'rebuild', $1, 0, 0, 0, 0)";
    let tables = async || world.tables_in_the_database("link_directory_%_links").await;
    world.link("a", "2026-01-01T00:00:00Z", json!({ "title": "telltale" })).await;
    world.caught_up().await;
    world.models.rebuild("link_directory").await.unwrap();
    // As if the second set were the first, and the first that of a builder.
    world.execute("update projections set previous_set = null, previous_version = null", &[]).await;
    assert_eq!(tables().await, 2);
    world.execute(CLAIM, &[9_000_000_000_000_000_i64.into()]).await;
    world.models.drop_unread("link_directory").await.unwrap();
    assert_eq!(tables().await, 2, "somebody builds");
    world.execute("update builds set ends = 0", &[]).await;
    world.models.drop_unread("link_directory").await.unwrap();
    assert_eq!(tables().await, 1, "the builder was killed");
    world.verified().await;
}

/// Who stood still for longer than a claim lasts does not go on if others have built meanwhile. Who only
/// could not write for so long, while a file was written anew, does.
pub(crate) async fn an_erasure_goes_on_unless_somebody_took_its_claim(world: World) {
    world.visits_of_two(3).await;
    let lapsed = world.models.keep_from_building("clicks").await.unwrap();
    world.execute("update builds set ends = 0", &[]).await;
    assert!(lapsed.is_kept().await.unwrap(), "nobody took it");
    let at_once = world.models.keep_from_building_at_once("clicks").await.unwrap();
    assert!(at_once.is_none(), "it is held");
    // It is renewed every second.
    loop {
        world.execute("update builds set ends = 0", &[]).await;
        match world.models.rebuild("clicks").await {
            Err(OperationError::Failed(WorkerError::Building(_))) => {}
            built => break assert!(built.is_ok(), "{built:?}"),
        }
    }
    assert!(!lapsed.is_kept().await.unwrap(), "the other one has ended");
    lapsed.end().await.unwrap();
    let kept = world.models.keep_from_building("clicks").await.unwrap();
    assert!(kept.is_kept().await.unwrap());
    kept.end().await.unwrap();
    assert_eq!(world.tables_in_the_database("clicks_%_clicks").await, 1);
}

/// No build that began before an erasure may put what it read in the place of what was erased, and
/// nobody may go back to it.
pub(crate) async fn while_clicks_are_erased_nothing_is_built_and_nothing_is_left_of_builds(
    world: World,
) {
    let is_refused = |result: Result<(), OperationError>| {
        let Err(OperationError::Failed(WorkerError::Building(_))) = result else {
            panic!("{result:?}")
        };
    };
    world.visits_of_two(3).await;
    world.models.rebuild("clicks").await.unwrap();
    // Of a builder that was killed: tables that are neither read nor kept.
    world.execute("update projections set previous_set = null, previous_version = null", &[]).await;
    assert!(world.tables_in_the_database("clicks_%_clicks").await > 1);
    let no_builds = world.models.keep_from_building("clicks").await.unwrap();
    assert_eq!(world.tables_in_the_database("clicks_%_clicks").await, 1);
    is_refused(world.models.rebuild("clicks").await.map(drop));
    is_refused(world.models.verify("clicks").await.map(drop));
    // It is renewed for as long as it takes.
    let ends = async || {
        let (sql, read) = ("select ends from builds".to_owned(), |row: &Row| row.int(0));
        world.database.fetch(Purpose::Projection, sql, &[], read).await.unwrap()[0]
    };
    let first = ends().await;
    while ends().await == first {
        tokio::task::yield_now().await;
    }
    assert!(no_builds.is_kept().await.unwrap());
    no_builds.end().await.unwrap();
    world.models.rebuild("clicks").await.unwrap();
    // Others that erase wait for their turn.
    let first = world.models.keep_from_building("clicks").await.unwrap();
    let (second, ended) =
        tokio::join!(world.models.keep_from_building("clicks"), async { first.end().await });
    ended.unwrap();
    second.unwrap().end().await.unwrap();
    world.verified().await;
}
