//! Quarantine: who begins and ends it, and what it does to all else.

use hoplog_events::link::{
    FoundBy, LinkAppealed, LinkEnabled, LinkQuarantined, LinkReleased, LinkRulesChanged,
    LinkSplitChanged,
};

use super::*;

fn oversee(oversee: Oversee) -> LinkCommand {
    LinkCommand::Oversee(Box::new(oversee))
}

fn by_admin(command: LinkCommand) -> Request {
    Request { requester: Requester::Admin, ..request(command) }
}

fn quarantine(reason: &str) -> LinkCommand {
    oversee(Oversee::Quarantine(reason.parse().unwrap()))
}

fn quarantined(reason: &str, entry: Option<&str>) -> LinkEvent {
    let by = if entry.is_some() { FoundBy::Blocklist } else { FoundBy::Operator };
    let (reason, entry) = (reason.parse().unwrap(), entry.map(Into::into));
    LinkEvent::Quarantined(LinkQuarantined { reason, by, entry, since: t(0) })
}

fn listed() -> LinkEvent {
    let reason = "a destination of the link is on the block list of this service";
    quarantined(reason, Some("blocked.example"))
}

fn released() -> LinkEvent {
    LinkEvent::Released(LinkReleased::default())
}

fn appealed(text: &str) -> LinkEvent {
    LinkEvent::Appealed(LinkAppealed { text: text.parse().unwrap() })
}

fn state(events: &[LinkEvent]) -> LinkState {
    replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap().state
}

/// An owner does not let a link out of quarantine, by whatever they may do else.
#[test]
fn only_an_administrator_begins_and_ends_a_quarantine() {
    let not_found = || LinkError::NotFound;
    given([created()]).when(quarantine("bad")).then_refused(not_found());
    given([created()]).when(oversee(Oversee::QuarantineIfBlocked)).then_refused(not_found());
    let in_quarantine = || [created(), quarantined("bad", None)];
    given(in_quarantine()).when(oversee(Oversee::Release)).then_refused(not_found());
    given([created()]).when_asked(&by_admin(quarantine("bad"))).then([quarantined("bad", None)]);
    let again = by_admin(quarantine("bad"));
    given(in_quarantine()).when_asked(&again).then([]);
    let worse = by_admin(quarantine("worse"));
    given(in_quarantine()).when_asked(&worse).then([quarantined("worse", None)]);
    let release = || by_admin(oversee(Oversee::Release));
    given(in_quarantine()).when_asked(&release()).then([released()]);
    given([created()]).when_asked(&release()).then([]);
    let enabled = || LinkEvent::Enabled(LinkEnabled {});
    for events in [
        vec![disabled(), enabled()],
        vec![expiry_changed(Some(t(9)))],
        vec![LinkEvent::Expired(LinkExpired { expires_at: t(9) }), expiry_changed(None)],
        vec![quarantined("worse", None)],
    ] {
        let all: Vec<_> = in_quarantine().into_iter().chain(events).collect();
        assert_eq!(state(&all), LinkState::Quarantined, "{all:?}");
    }
    let deleted = [created(), quarantined("bad", None), deleted()];
    assert_eq!(state(&deleted), LinkState::Deleted);
}

#[test]
fn a_released_link_is_what_it_would_be_without() {
    let bad = || quarantined("bad", None);
    for (events, expected) in [
        (vec![bad(), released()], LinkState::Active),
        (vec![disabled(), bad(), released()], LinkState::Disabled),
        (vec![bad(), disabled(), released()], LinkState::Disabled),
        (vec![bad(), disabled(), bad(), released()], LinkState::Disabled),
        (vec![released()], LinkState::Active),
    ] {
        let all: Vec<_> = std::iter::once(created()).chain(events).collect();
        assert_eq!(state(&all), expected, "{all:?}");
    }
    given([created(), bad()]).when(LinkCommand::Disable).then([disabled()]);
    given([created(), bad(), disabled()]).when(LinkCommand::Disable).then([]);
    let ended = by_admin(LinkCommand::Expire);
    given([created(), expiry_changed(Some(t(-9))), bad()]).when_asked(&ended).then([]);
}

#[test]
fn an_owner_appeals_while_there_is_something_to_say_against() {
    let appeal = |text: &str| oversee(Oversee::Appeal(text.parse().unwrap()));
    given([created()]).when(appeal("no")).then_refused(LinkError::NotQuarantined);
    let events = || [created(), quarantined("bad", None)];
    given(events()).when(appeal("no")).then([appealed("no")]);
    let [created, bad] = events();
    let all = [created, bad, appealed("no")];
    given(all.clone()).when(appeal("no")).then([]);
    given(all.clone()).when(appeal("please")).then([appealed("please")]);
    let link = replay(&key(), all.iter().map(|event| (event, t(0)))).unwrap();
    assert_eq!(link.extras.quarantine().unwrap().appeal, "no".parse().ok());
}

#[test]
fn another_reason_takes_back_no_appeal() {
    let all = [created(), quarantined("bad", None), appealed("no"), quarantined("worse", None)];
    let link = replay(&key(), all.iter().map(|event| (event, t(0)))).unwrap();
    let quarantine = link.extras.quarantine().unwrap();
    assert_eq!(
        (quarantine.begun.reason.as_str(), &quarantine.appeal),
        ("worse", &"no".parse().ok())
    );
}

/// Trap 19: whichever destination it is. What an operator has released is not found by the same entry again.
#[test]
fn trap_19_a_link_that_leads_to_a_blocked_place_is_found_by_any_of_its_destinations() {
    let check = || by_admin(oversee(Oversee::QuarantineIfBlocked));
    let url: Destination = "https://www.blocked.example/".parse().unwrap();
    let rules = format!(r#"[{{"when":{{"visitor":"bot"}},"url":"{url}"}}]"#);
    let rules = serde_json::from_str(&rules).unwrap();
    let split =
        format!(r#"[{{"name":"own","weight":1}},{{"name":"bad","weight":1,"url":"{url}"}}]"#);
    let split = LinkSplitChanged { split: serde_json::from_str(&split).unwrap() };
    let moved = || LinkEvent::DestinationChanged(LinkDestinationChanged { url: url.clone() });
    let over = hoplog_events::link::LinkExpiredUrlChanged { expired_url: Some(url.clone()) };
    for event in [
        moved(),
        LinkEvent::ExpiredUrlChanged(over),
        LinkEvent::RulesChanged(LinkRulesChanged { rules }),
        LinkEvent::SplitChanged(split),
    ] {
        given([created(), event.clone()]).when_asked(&check()).then([listed()]);
        given([created(), event.clone(), disabled()]).when_asked(&check()).then([listed()]);
        given([created(), event.clone(), quarantined("bad", None)]).when_asked(&check()).then([]);
        given([created(), event, listed(), released()]).when_asked(&check()).then([]);
    }
    given([created()]).when_asked(&check()).then([]);
    let by_hand = [created(), moved(), quarantined("bad", None), released()];
    given(by_hand).when_asked(&check()).then([listed()]);
}
