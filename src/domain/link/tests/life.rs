//! From when on a link is served, where it leads afterwards, and whether lists have it.

use hoplog_events::link::{
    LinkArchived, LinkExpiredUrlChanged, LinkPasswordChanged, LinkPathForwardingChanged,
    LinkQueryForwardingChanged, LinkUnarchived, LinkValidFromChanged, PasswordHash,
    QueryForwarding,
};

use super::*;

fn create_with(extras: Extras, expires_at: Option<DateTime<Utc>>) -> LinkCommand {
    LinkCommand::Create(Box::new(CreateLink { expires_at, extras, ..new_link() }))
}

fn valid_from(at: Option<DateTime<Utc>>) -> LinkEvent {
    LinkEvent::ValidFromChanged(LinkValidFromChanged { valid_from: at })
}

fn edit_valid_from(at: Option<DateTime<Utc>>) -> LinkCommand {
    edit(|edit| edit.extras.valid_from = Some(at))
}

#[test]
fn a_link_is_valid_before_it_ends() {
    let from = |at| Extras { valid_from: Some(at), ..Extras::default() };
    let behind = || LinkError::ValidFromBehindEnd;
    given([]).when(create_with(from(t(9)), Some(t(9)))).then_refused(behind());
    given([]).when(create_with(from(t(10)), Some(t(9)))).then_refused(behind());
    assert!(decide(None, &request(create_with(from(t(8)), Some(t(9))))).is_ok());
    assert!(decide(None, &request(create_with(from(t(-8)), None))).is_ok(), "long ago");
    // Whichever of the two is moved.
    let ends = || expiry_changed(Some(t(9)));
    given([created(), ends()]).when(edit_valid_from(Some(t(9)))).then_refused(behind());
    given([created(), ends()]).when(edit_valid_from(Some(t(8)))).then([valid_from(Some(t(8)))]);
    let end_at = |at| edit(|edit| edit.expires_at = Some(Some(at)));
    given([created(), valid_from(Some(t(8)))]).when(end_at(t(8))).then_refused(behind());
    given([created(), valid_from(Some(t(8)))]).when(end_at(t(9))).then([ends()]);
    let both = edit(|edit| {
        edit.expires_at = Some(None);
        edit.extras.valid_from = Some(Some(t(10)));
    });
    given([created(), ends()]).when(both).then([expiry_changed(None), valid_from(Some(t(10)))]);
    let far = t(0) + TimeDelta::days(101 * 366);
    given([]).when(create_with(from(far), None)).then_refused(LinkError::ValidFromTooFar);
    given([created()]).when(edit_valid_from(Some(far))).then_refused(LinkError::ValidFromTooFar);
}

/// What was right once does not forbid to change something else later.
#[test]
fn an_edit_is_judged_by_what_it_changes() {
    let ended = LinkEvent::Expired(LinkExpired { expires_at: t(-1) });
    let events = [created(), expiry_changed(Some(t(-1))), ended, valid_from(Some(t(-1)))];
    let title: LinkEvent = LinkEvent::Titled(LinkTitled { title: "t".parse().ok() });
    given(events).when(edit(|edit| edit.title = Some("t".parse().ok()))).then([title]);
}

/// Trap 8 (U15) and 19: what a link leads to once it has expired is looked at like what it leads to.
#[test]
fn trap_8_an_expired_link_leads_not_back_to_the_service_either() {
    let own = "https://go.example.com/x".parse().ok();
    let refused = || LinkError::Loop(DestinationField::ExpiredUrl);
    let extras = Extras { expired_url: own.clone(), ..Extras::default() };
    given([]).when(create_with(extras, None)).then_refused(refused());
    let edited = edit(|edit| edit.extras.expired_url = Some(own));
    given([created()]).when(edited).then_refused(refused());
}

#[test]
fn a_link_is_put_away_and_taken_out_again() {
    let archive = |archived| edit(|edit| edit.extras.archived = Some(archived));
    let archived = || LinkEvent::Archived(LinkArchived {});
    given([created()]).when(archive(true)).then([archived()]);
    given([created()]).when(archive(false)).then([]);
    given([created(), archived()]).when(archive(true)).then([]);
    let unarchived = LinkEvent::Unarchived(LinkUnarchived {});
    given([created(), archived()]).when(archive(false)).then([unarchived]);
}

#[test]
fn extras_are_set_and_cleared_each_by_an_event() {
    let url: Destination = "https://example.com/over".parse().unwrap();
    let to = |expired_url| LinkEvent::ExpiredUrlChanged(LinkExpiredUrlChanged { expired_url });
    let set = edit(|edit| {
        edit.extras.expired_url = Some(Some(url.clone()));
        edit.extras.valid_from = Some(Some(t(5)));
    });
    given([created()]).when(set).then([valid_from(Some(t(5))), to(Some(url.clone()))]);
    let cleared = edit(|edit| {
        edit.extras.expired_url = Some(None);
        edit.extras.valid_from = Some(None);
    });
    let events = [created(), valid_from(Some(t(5))), to(Some(url.clone()))];
    given(events.clone()).when(cleared).then([valid_from(None), to(None)]);
    let extras = Extras { valid_from: Some(t(5)), expired_url: Some(url), ..Extras::default() };
    let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
    assert_eq!(link.extras, extras);
    let erased = replay(&key(), events.iter().chain([&deleted(), &erased()]).map(|e| (e, t(0))));
    assert!(erased.unwrap().extras.is_empty(), "what people wrote in it is gone");
}

#[test]
fn forwarding_is_switched_on_and_off() {
    let query = |forward_query| {
        LinkEvent::QueryForwardingChanged(LinkQueryForwardingChanged { forward_query })
    };
    let path =
        |forward_path| LinkEvent::PathForwardingChanged(LinkPathForwardingChanged { forward_path });
    let to = |forward_query, forward_path| {
        edit(|edit| {
            edit.extras.forward_query = Some(forward_query);
            edit.extras.forward_path = Some(forward_path);
        })
    };
    let append = Some(QueryForwarding::Append);
    given([created()]).when(to(append, true)).then([query(append), path(true)]);
    given([created(), query(append), path(true)]).when(to(append, true)).then([]);
    given([created(), query(append), path(true)])
        .when(to(None, false))
        .then([query(None), path(false)]);
}

#[test]
fn a_password_is_set_changed_and_removed() {
    let hash = |salt: &str| -> PasswordHash { format!("$argon2id${salt}$aGFzaA").parse().unwrap() };
    let changed = |password: Option<PasswordHash>| {
        LinkEvent::PasswordChanged(LinkPasswordChanged { password })
    };
    let to = |password| edit(|edit| edit.extras.password = Some(password));
    let (one, other) = (Some(hash("one")), Some(hash("other")));
    given([created()]).when(to(one.clone())).then([changed(one.clone())]);
    given([created(), changed(one.clone())]).when(to(one.clone())).then([]);
    given([created(), changed(one.clone())]).when(to(other.clone())).then([changed(other)]);
    given([created(), changed(one.clone())]).when(to(None)).then([changed(None)]);
    given([created()]).when(to(None)).then([]);
    let extras = Extras { password: one.clone(), ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras, ..new_link() }));
    let with_one = decide(None, &request(create)).unwrap().remove(0);
    given([with_one.clone()]).when(to(one)).then([]);
    let link = replay(&key(), [(&with_one, t(0)), (&deleted(), t(0)), (&erased(), t(0))]);
    assert_eq!(link.unwrap().extras.password, None, "what people chose is gone");
}

/// Campaign fields are set in the destination that the link has, or gets with the same edit.
#[test]
fn campaign_fields_change_the_destination() {
    let spring = || {
        let mut utm = crate::domain::utm::EditUtm::default();
        utm.0[2] = Some("spring".parse().ok());
        utm
    };
    let to = |url: &str| {
        let url = url.parse().unwrap();
        LinkEvent::DestinationChanged(LinkDestinationChanged { url })
    };
    let there = "https://example.com/?utm_campaign=spring";
    given([created()]).when(edit(|edit| edit.utm = spring())).then([to(there)]);
    given([created(), to(there)]).when(edit(|edit| edit.utm = spring())).then([]);
    let both = edit(|edit| {
        edit.url = "https://example.org/?utm_campaign=x&a=1".parse().ok();
        edit.utm = spring();
    });
    given([created()]).when(both).then([to("https://example.org/?utm_campaign=spring&a=1")]);
    let long = edit(|edit| {
        edit.url = format!("https://example.com/{}", "a".repeat(8_170)).parse().ok();
        edit.utm = spring();
    });
    given([created()]).when(long).then_refused(LinkError::UtmTooLong);
}
