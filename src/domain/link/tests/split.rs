//! The split of a link: set, changed and removed as a whole.

use hoplog_events::link::{LinkSplitChanged, Split};

use super::*;

/// One variant at the link's own place, and one at each of these.
fn split(urls: &[&str]) -> Split {
    let variant = |(n, url)| format!(r#"{{"name":"{n}","weight":1,"url":"{url}"}}"#);
    let others: Vec<String> = urls.iter().enumerate().map(variant).collect();
    let others = others.join(",");
    serde_json::from_str(&format!(r#"[{{"name":"own","weight":1}},{others}]"#)).unwrap()
}

fn split_changed(split: Split) -> LinkEvent {
    LinkEvent::SplitChanged(LinkSplitChanged { split })
}

fn set(split: Split) -> LinkCommand {
    edit(|edit| edit.extras.split = Some(split))
}

#[test]
fn a_split_is_one_fact() {
    let (one, two) = (split(&["https://a.example/"]), split(&["https://b.example/"]));
    given([created()]).when(set(one.clone())).then([split_changed(one.clone())]);
    given([created()]).when(set(Split::default())).then([]);
    given([created(), split_changed(one.clone())]).when(set(one.clone())).then([]);
    let events = [created(), split_changed(one.clone())];
    given(events.clone()).when(set(two.clone())).then([split_changed(two)]);
    given(events.clone()).when(set(Split::default())).then([split_changed(Split::default())]);
    let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
    assert_eq!(link.extras.split, one);
    let permanent = Link { redirect: RedirectStatus::PermanentRedirect, ..link };
    assert_eq!(permanent.answered_redirect(), RedirectStatus::TemporaryRedirect);
    let erased = replay(&key(), events.iter().chain([&deleted(), &erased()]).map(|e| (e, t(0))));
    assert!(erased.unwrap().extras.is_empty());
}

/// Trap 19: the destination of a variant is looked at like that of the link, wherever it stands.
#[test]
fn trap_19_no_variant_leads_back_to_the_service() {
    let looped = split(&["https://example.com/", "https://GO.example.com./x"]);
    let refused = || LinkError::Loop(DestinationField::Variant(2));
    let extras = Extras { split: looped.clone(), ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras, ..new_link() }));
    given([]).when(create).then_refused(refused());
    given([created()]).when(set(looped)).then_refused(refused());
}

/// Campaign fields are those of every destination, whichever a visitor is led to.
#[test]
fn campaign_fields_are_set_in_the_destinations_of_variants_too() {
    let utm = || {
        let mut utm = EditUtm::default();
        utm.0[0] = Some(Some("mail".parse().unwrap()));
        utm
    };
    let url = "https://example.com/?utm_source=mail".parse().unwrap();
    let moved = LinkEvent::DestinationChanged(LinkDestinationChanged { url });
    let (before, after) =
        (split(&["https://a.example/?b=1"]), split(&["https://a.example/?b=1&utm_source=mail"]));
    given([created(), split_changed(before)])
        .when(edit(|edit| edit.utm = utm()))
        .then([moved, split_changed(after)]);
    let long = format!("https://a.example/{}", "a".repeat(8_170));
    let too_long = [created(), split_changed(split(&[&long]))];
    given(too_long).when(edit(|edit| edit.utm = utm())).then_refused(LinkError::UtmTooLong);
}
