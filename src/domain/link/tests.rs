//! Given/when/then: what was, what is asked, what follows.

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::link::{
    Extras, LinkDeleted, LinkDestinationChanged, LinkDisabled, LinkEnabled, LinkErased, LinkEvent,
    LinkExpired, LinkExpiryChanged, LinkTagged, LinkTitled, OwnerId,
};
use proptest::prelude::*;

use super::*;
use crate::domain::blocklist::BlockListReader;

mod budget;
mod cleared;
mod life;
mod oversight;
mod preview;
mod rules;
mod split;

fn t(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn key() -> LinkKey {
    "default/launch".parse().unwrap()
}

fn ann() -> OwnerId {
    "ann".parse().unwrap()
}

fn new_link() -> CreateLink {
    CreateLink {
        key: key(),
        url: "https://example.com/".parse().unwrap(),
        owner: ann(),
        expires_at: None,
        redirect: RedirectStatus::Found,
        title: None,
        tags: Tags::default(),
        note: None,
        external_id: None,
        extras: Extras::default(),
    }
}

fn create() -> LinkCommand {
    LinkCommand::Create(Box::new(new_link()))
}

fn edit(change: impl FnOnce(&mut EditLink)) -> LinkCommand {
    let mut edit = EditLink::default();
    change(&mut edit);
    LinkCommand::Edit(Box::new(edit))
}

fn created() -> LinkEvent {
    let asked = request(create());
    decide(None, &asked).unwrap().remove(0)
}

fn expiry_changed(at: Option<DateTime<Utc>>) -> LinkEvent {
    LinkEvent::ExpiryChanged(LinkExpiryChanged { expires_at: at })
}

fn disabled() -> LinkEvent {
    LinkEvent::Disabled(LinkDisabled {})
}

fn deleted() -> LinkEvent {
    LinkEvent::Deleted(LinkDeleted {})
}

fn erased() -> LinkEvent {
    LinkEvent::Erased(LinkErased {})
}

fn blocked() -> Arc<BlockLists> {
    let mut list = BlockListReader::default();
    list.line("blocked.example").unwrap();
    Arc::new(BlockLists::of([Arc::new(list.finish())]))
}

fn request(command: LinkCommand) -> Request {
    let own_hosts = vec!["go.example.com".into()];
    Request {
        requester: Requester::Owner(ann()),
        now: t(0),
        expected: None,
        named: None,
        own_hosts,
        domains: Arc::default(),
        blocked: blocked(),
        command,
    }
}

/// What happened before.
struct Given(Vec<LinkEvent>);

/// What follows.
struct Then(Result<Vec<LinkEvent>, LinkError>);

fn given<const N: usize>(events: [LinkEvent; N]) -> Given {
    Given(Vec::from(events))
}

impl Given {
    fn when(self, command: LinkCommand) -> Then {
        self.when_asked(&request(command))
    }

    fn when_asked(self, request: &Request) -> Then {
        let link = replay(&key(), self.0.iter().map(|event| (event, t(-100))));
        Then(decide(link.as_ref(), request))
    }
}

impl Then {
    #[track_caller]
    fn then<const N: usize>(self, events: [LinkEvent; N]) {
        assert_eq!(self.0, Ok(Vec::from(events)));
    }

    #[track_caller]
    fn then_refused(self, error: LinkError) {
        assert_eq!(self.0, Err(error));
    }
}

#[test]
fn a_link_is_created_once() {
    given([]).when(create()).then([created()]);
    given([created()]).when(create()).then_refused(LinkError::CodeTaken(key()));
}

#[test]
fn a_link_is_erased_once_whatever_became_of_it() {
    let erase = || LinkCommand::Erase;
    given([]).when(erase()).then_refused(LinkError::NotFound);
    given([created()]).when(erase()).then([deleted(), erased()]);
    given([created(), disabled()]).when(erase()).then([deleted(), erased()]);
    given([created(), deleted()]).when(erase()).then([erased()]);
    given([created(), deleted(), erased()]).when(erase()).then([]);
    let bob = Request { requester: Requester::Owner("bob".parse().unwrap()), ..request(erase()) };
    given([created()]).when_asked(&bob).then_refused(LinkError::NotFound);
    given([created(), deleted(), erased()]).when_asked(&bob).then_refused(LinkError::NotFound);
    let conditional = Request { expected: Some(vec![Version(1)]), ..request(erase()) };
    let mismatch = LinkError::VersionMismatch { actual: Version(2) };
    given([created(), deleted()]).when_asked(&conditional).then_refused(mismatch);
    given([created(), deleted(), erased()]).when_asked(&conditional).then([]);
    given([created(), deleted(), erased()])
        .when(LinkCommand::Delete)
        .then_refused(LinkError::Deleted);
    let link = replay(&key(), [created(), deleted(), erased()].iter().map(|event| (event, t(0))));
    let link = link.unwrap();
    assert_eq!((link.url.as_str(), link.state), ("https://erased.invalid/", LinkState::Deleted));
    assert!(link.is_erased && link.owner == ann() && link.version == Version(3));
}

/// Trap 4 (U33): a code that was deleted or has expired is never given to somebody else.
#[test]
fn trap_4_a_code_is_never_given_out_again() {
    let ended = LinkEvent::Expired(LinkExpired { expires_at: t(-50) });
    let taken = || LinkError::CodeTaken(key());
    given([created(), deleted()]).when(create()).then_refused(taken());
    given([created(), expiry_changed(Some(t(-50))), ended]).when(create()).then_refused(taken());
}

#[test]
fn an_expiry_lies_in_the_future_and_not_too_far() {
    let with = |expires_at| {
        LinkCommand::Create(Box::new(CreateLink { expires_at: Some(expires_at), ..new_link() }))
    };
    given([]).when(with(t(0))).then_refused(LinkError::ExpiryPassed);
    given([]).when(with(t(-1))).then_refused(LinkError::ExpiryPassed);
    let far = t(0) + TimeDelta::days(101 * 366);
    given([]).when(with(far)).then_refused(LinkError::ExpiryTooFar);
    let edit_to = |at| edit(|edit| edit.expires_at = Some(Some(at)));
    given([created()]).when(edit_to(t(0))).then_refused(LinkError::ExpiryPassed);
    given([created()]).when(edit_to(t(9))).then([expiry_changed(Some(t(9)))]);
}

/// Trap 8 (U15): a link to the service itself leads in a circle, however the host is written.
#[test]
fn trap_8_a_link_never_leads_back_to_the_service() {
    let create_to = |url: &str| {
        LinkCommand::Create(Box::new(CreateLink { url: url.parse().unwrap(), ..new_link() }))
    };
    for url in
        ["https://go.example.com/x", "http://GO.example.com:8080/", "https://go.example.com./x"]
    {
        given([]).when(create_to(url)).then_refused(LinkError::Loop(DestinationField::Url));
        let edited = edit(|edit| edit.url = Some(url.parse().unwrap()));
        given([created()]).when(edited).then_refused(LinkError::Loop(DestinationField::Url));
        let own_hosts = vec!["go.example.com.".into()];
        let dotted = Request { own_hosts, ..request(create_to(url)) };
        given([]).when_asked(&dotted).then_refused(LinkError::Loop(DestinationField::Url));
    }
    assert!(decide(None, &request(create_to("https://go.example.com.evil.org/"))).is_ok());
}

/// Trap 19 and 8: every destination is looked at, on creation and on edit; one that stays as it is is not.
#[test]
fn trap_19_no_destination_is_a_blocked_place() {
    let url: Destination = "https://www.Blocked.example./x".parse().unwrap();
    let entry = || "blocked.example".into();
    let refused = |field| LinkError::Blocked { field, entry: entry() };
    let create = LinkCommand::Create(Box::new(CreateLink { url: url.clone(), ..new_link() }));
    given([]).when(create).then_refused(refused(DestinationField::Url));
    let edited = edit(|edit| edit.url = Some(url.clone()));
    given([created()]).when(edited).then_refused(refused(DestinationField::Url));
    let edited = edit(|edit| edit.extras.expired_url = Some(Some(url.clone())));
    given([created()]).when(edited).then_refused(refused(DestinationField::ExpiredUrl));
    let extras = Extras { expired_url: Some(url.clone()), ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras, ..new_link() }));
    given([]).when(create).then_refused(refused(DestinationField::ExpiredUrl));
    let rules = format!(r#"[{{"when":{{"visitor":"bot"}},"url":"{url}"}}]"#);
    let rules = serde_json::from_str(&rules).unwrap();
    let edited = edit(|edit| edit.extras.rules = Some(rules));
    given([created()]).when(edited).then_refused(refused(DestinationField::Rule(0)));
    let moved = LinkEvent::DestinationChanged(LinkDestinationChanged { url: url.clone() });
    let same = edit(|edit| edit.url = Some(url));
    given([created(), moved]).when(same).then([]);
}

#[test]
fn an_edit_gives_one_event_per_fact_that_changes() {
    let url: Destination = "https://example.com/2".parse().unwrap();
    let tags = Tags::try_from(vec!["a".parse().unwrap()]).unwrap();
    let both = edit(|edit| {
        edit.url = Some(url.clone());
        edit.tags = Some(tags.clone());
        edit.title = Some(None);
        edit.redirect = Some(RedirectStatus::Found);
    });
    given([created()]).when(both).then([
        LinkEvent::DestinationChanged(LinkDestinationChanged { url }),
        LinkEvent::Tagged(LinkTagged { tags }),
    ]);
}

#[test]
fn what_would_change_nothing_gives_no_event() {
    given([created()]).when(edit(|edit| edit.url = Some(new_link().url))).then([]);
    given([created()]).when(LinkCommand::Enable).then([]);
    given([created(), disabled()]).when(LinkCommand::Disable).then([]);
}

#[test]
fn a_link_is_disabled_and_enabled() {
    let enabled = LinkEvent::Enabled(LinkEnabled {});
    given([created()]).when(LinkCommand::Disable).then([disabled()]);
    given([created(), disabled()]).when(LinkCommand::Enable).then([enabled]);
}

#[test]
fn nothing_can_be_done_with_a_deleted_link() {
    for command in [
        edit(|_| ()),
        LinkCommand::Disable,
        LinkCommand::Enable,
        LinkCommand::Expire,
        LinkCommand::Delete,
    ] {
        given([created(), deleted()]).when(command).then_refused(LinkError::Deleted);
    }
}

#[test]
fn nothing_can_be_done_with_a_link_that_is_not_there() {
    given([]).when(LinkCommand::Disable).then_refused(LinkError::NotFound);
    given([]).when(edit(|_| ())).then_refused(LinkError::NotFound);
}

/// Trap 18 (U26, U37): somebody else's link is as good as none.
#[test]
fn trap_18_a_link_of_another_owner_is_not_there() {
    let bob = Request {
        requester: Requester::Owner("bob".parse().unwrap()),
        ..request(LinkCommand::Delete)
    };
    given([created()]).when_asked(&bob).then_refused(LinkError::NotFound);
    given([created(), deleted()]).when_asked(&bob).then_refused(LinkError::NotFound);
    let admin = Request { requester: Requester::Admin, ..bob };
    given([created()]).when_asked(&admin).then([deleted()]);
}

#[test]
fn an_edit_of_a_version_that_is_no_more_is_refused() {
    let asked = |expected: &[Version]| Request {
        expected: Some(expected.to_vec()),
        ..request(LinkCommand::Disable)
    };
    for expected in [&[Version(1)][..], &[Version(7), Version(1)]] {
        given([created()]).when_asked(&asked(expected)).then([disabled()]);
    }
    let mismatch = LinkError::VersionMismatch { actual: Version(1) };
    for expected in [&[][..], &[Version(2)], &[Version(0), Version(2)]] {
        given([created()]).when_asked(&asked(expected)).then_refused(mismatch.clone());
    }
}

/// What is meant for the link with an external id is not for one that has given it away.
#[test]
fn an_edit_of_the_link_with_an_external_id_is_of_no_other() {
    let name = |id: &str| edit(|edit| edit.external_id = Some(Some(id.parse().unwrap())));
    let asked = Request { named: Some("e".parse().unwrap()), ..request(LinkCommand::Disable) };
    let link = replay(&key(), [(&created(), t(0))]);
    let named = decide(link.as_ref(), &request(name("e"))).unwrap().remove(0);
    given([created(), named.clone()]).when_asked(&asked).then([disabled()]);
    let link = replay(&key(), [(&created(), t(0)), (&named, t(0))]);
    let renamed = decide(link.as_ref(), &request(name("f"))).unwrap().remove(0);
    let mismatch = LinkError::VersionMismatch { actual: Version(3) };
    given([created(), named, renamed]).when_asked(&asked).then_refused(mismatch);
    let mismatch = LinkError::VersionMismatch { actual: Version(1) };
    given([created()]).when_asked(&asked).then_refused(mismatch);
}

/// Trap 14 (U32): an expiry that was moved between the look and the deed.
#[test]
fn trap_14_a_link_whose_end_was_moved_does_not_expire() {
    let ended = LinkEvent::Expired(LinkExpired { expires_at: t(-1) });
    given([created(), expiry_changed(Some(t(-1)))]).when(LinkCommand::Expire).then([ended.clone()]);
    given([created(), expiry_changed(Some(t(1)))]).when(LinkCommand::Expire).then([]);
    given([created(), expiry_changed(None)]).when(LinkCommand::Expire).then([]);
    given([created(), expiry_changed(Some(t(-1))), ended]).when(LinkCommand::Expire).then([]);
}

#[test]
fn a_disabled_link_expires_when_it_is_enabled_after_its_end() {
    let past = expiry_changed(Some(t(-1)));
    let enabled = LinkEvent::Enabled(LinkEnabled {});
    let ended = LinkEvent::Expired(LinkExpired { expires_at: t(-1) });
    given([created(), past.clone(), disabled()]).when(LinkCommand::Expire).then([]);
    given([created(), past, disabled(), enabled]).when(LinkCommand::Expire).then([ended]);
}

#[test]
fn an_expired_link_lives_again_with_a_later_end() {
    let ended = LinkEvent::Expired(LinkExpired { expires_at: t(-1) });
    let events = [created(), expiry_changed(Some(t(-1))), ended, expiry_changed(None)];
    let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
    assert_eq!((link.state, link.expires_at), (LinkState::Active, None));
}

fn any_command() -> impl Strategy<Value = (LinkCommand, bool)> {
    let command = prop_oneof![
        1 => Just(create()),
        1 => Just(LinkCommand::Disable),
        1 => Just(LinkCommand::Enable),
        1 => Just(LinkCommand::Expire),
        1 => Just(LinkCommand::Delete),
        3 => (0..3_u8, proptest::option::of(-5..50_i64), any::<bool>()).prop_map(|(n, at, title)| {
            edit(|edit| {
                edit.url = Some(format!("https://example.com/{n}").parse().unwrap());
                edit.expires_at = Some(at.map(t));
                edit.title = title.then(|| Some(n.to_string().parse().unwrap()));
            })
        }),
    ];
    (command, any::<bool>())
}

proptest! {
    /// Whatever is asked in whatever order: the invariants of a link hold.
    #[test]
    fn random_commands_keep_the_invariants(commands in proptest::collection::vec(any_command(), 0..40)) {
        let mut link: Option<Link> = None;
        let mut all: Vec<LinkEvent> = Vec::new();
        for (second, (command, is_owner)) in commands.into_iter().enumerate() {
            let owner = if is_owner { ann() } else { "bob".parse().unwrap() };
            let now = t(i64::try_from(second).unwrap());
            let asked = Request { requester: Requester::Owner(owner), now, ..request(command) };
            let Ok(events) = decide(link.as_ref(), &asked) else { continue };
            let before = link.clone();
            for event in &events {
                link = evolve(link, &key(), event, now);
            }
            all.extend(events.iter().cloned());
            let after = link.as_ref().unwrap();
            // Every event changes something, and is counted.
            prop_assert_eq!(after.version.0, all.len() as u64);
            prop_assert_eq!(events.is_empty(), before.as_ref() == Some(after));
            // Deleted is for ever; the owner and the creation never change.
            if let Some(before) = before {
                prop_assert_ne!(before.state, LinkState::Deleted);
                prop_assert_eq!((&before.owner, before.created_at), (&after.owner, after.created_at));
            }
            // The same command again finds nothing left to do.
            if !matches!(asked.command, LinkCommand::Create(_) | LinkCommand::Delete) {
                prop_assert_eq!(decide(Some(after), &asked), Ok(vec![]));
            }
        }
    }

    /// `evolve` judges nothing: any events in any order give a link or none, never a panic.
    #[test]
    fn any_events_can_be_replayed(picks in proptest::collection::vec(0..6_usize, 0..20)) {
        let known = [
            created(), disabled(), deleted(), expiry_changed(None),
            LinkEvent::Expired(LinkExpired { expires_at: t(0) }),
            LinkEvent::Titled(LinkTitled { title: None }),
        ];
        let events: Vec<_> = picks.iter().map(|n| &known[*n]).collect();
        let link = replay(&key(), events.iter().map(|event| (*event, t(0))));
        prop_assert_eq!(link.is_some(), events.iter().any(|event| matches!(event, LinkEvent::Created(_))));
    }
}
