//! What chats and networks are shown of a link, and what its destination calls itself.

use hoplog_events::link::{
    LinkMaxClicksChanged, LinkPasswordChanged, LinkPreviewChanged, LinkTitleFetched,
    LinkValidFromChanged, OwnPreview, Title,
};

use super::*;

fn own(title: Option<&str>, image: Option<&str>) -> OwnPreview {
    let title = title.map(|title| title.parse().unwrap());
    OwnPreview { title, description: None, image: image.map(|url| url.parse().unwrap()) }
}

fn preview_changed(preview: Option<OwnPreview>) -> LinkEvent {
    LinkEvent::PreviewChanged(LinkPreviewChanged { preview })
}

fn set(change: impl FnOnce(&mut EditPreview)) -> LinkCommand {
    edit(|edit| change(&mut edit.extras.preview))
}

fn title(text: &str) -> Title {
    text.parse().unwrap()
}

#[test]
fn what_is_shown_is_one_fact_that_is_changed_field_by_field() {
    let image = "https://example.com/i.png";
    let one = preview_changed(Some(own(Some("a"), None)));
    given([created()]).when(set(|it| it.title = Some(Some(title("a"))))).then([one.clone()]);
    given([created(), one.clone()]).when(set(|it| it.title = Some(Some(title("a"))))).then([]);
    let both = preview_changed(Some(own(Some("a"), Some(image))));
    let add = set(|it| it.image = Some(image.parse().ok()));
    given([created(), one.clone()]).when(add).then([both.clone()]);
    let without = set(|it| it.title = Some(None));
    let left = preview_changed(Some(own(None, Some(image))));
    given([created(), both.clone()]).when(without.clone()).then([left]);
    given([created(), one.clone()]).when(without).then([preview_changed(None)]);
    given([created(), both])
        .when(set(|it| *it = EditPreview::clear()))
        .then([preview_changed(None)]);
    given([created()]).when(set(|it| *it = EditPreview::clear())).then([]);
}

/// Trap 19: a picture is looked at like a destination, wherever it stands.
#[test]
fn trap_19_a_picture_is_neither_of_this_service_nor_blocked() {
    let looped = "https://GO.example.com./x";
    let refused = || LinkError::Loop(DestinationField::PreviewImage);
    let preview = Some(Box::new(own(None, Some(looped))));
    let extras = Extras { preview, ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras: extras.clone(), ..new_link() }));
    given([]).when(create).then_refused(refused());
    let edit = set(|it| it.image = Some(looped.parse().ok()));
    given([created()]).when(edit).then_refused(refused());
    let url = "https://example.com/".parse().unwrap();
    assert!(destinations(&url, &extras).any(|url| url.as_str() == "https://go.example.com./x"));
}

fn page(url: &str, title: &str) -> LinkCommand {
    let (url, title) = (url.parse().unwrap(), title.parse().unwrap());
    LinkCommand::NoteTitle(Box::new(PageTitle { url, title }))
}

fn fetched(title: &str) -> LinkEvent {
    let url = "https://example.com/".parse().unwrap();
    LinkEvent::TitleFetched(LinkTitleFetched { url, title: title.parse().ok() })
}

fn titled(title: Option<&str>) -> LinkEvent {
    let title = title.map(|title| title.parse().unwrap());
    LinkEvent::Titled(LinkTitled { title })
}

fn moved() -> LinkEvent {
    let url = "https://example.com/2".parse().unwrap();
    LinkEvent::DestinationChanged(LinkDestinationChanged { url })
}

/// Whatever the page is called: the owner's title wins, and so does what happened meanwhile.
#[test]
fn a_page_s_title_is_noted_while_the_link_leads_there_and_has_no_name() {
    let note = || page("https://example.com/", "Example");
    given([created()]).when(note()).then([fetched("Example")]);
    given([created(), fetched("Example")]).when(note()).then([]);
    given([created(), moved()]).when(note()).then([]);
    given([created(), titled(Some("Ours"))]).when(note()).then([]);
    given([created(), titled(Some("Ours")), titled(None)]).when(note()).then([fetched("Example")]);
    given([created(), disabled()]).when(note()).then([]);
    given([created(), deleted()]).when(note()).then_refused(LinkError::Deleted);
    for guard in [
        edit(|edit| edit.extras.max_clicks = Some("1".parse().ok())),
        edit(|edit| {
            let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNo";
            edit.extras.password = Some(hash.parse().ok());
        }),
    ] {
        let first = created();
        let link = replay(&key(), [(&first, t(0))]).unwrap();
        let guarded = decide(Some(&link), &request(guard)).unwrap().remove(0);
        given([first, guarded]).when(note()).then([]);
    }
}

/// Of a link that is not valid yet nobody learns, and one that has ended leads nobody: whether an event says so or not.
#[test]
fn a_page_is_not_looked_at_before_its_link_is_valid_nor_after_its_end() {
    let wants = |seconds: i64, event: LinkEvent| {
        let events = [created(), event];
        let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
        wants_title(&link, t(seconds))
    };
    let from = || LinkEvent::ValidFromChanged(LinkValidFromChanged { valid_from: Some(t(10)) });
    assert!(!wants(9, from()) && wants(10, from()));
    let until = || LinkEvent::ExpiryChanged(LinkExpiryChanged { expires_at: Some(t(10)) });
    assert!(wants(9, until()) && !wants(10, until()));
    let late = page("https://example.com/", "Example");
    given([created(), LinkEvent::ExpiryChanged(LinkExpiryChanged { expires_at: Some(t(0)) })])
        .when(late)
        .then([]);
}

#[test]
fn a_page_s_title_is_gone_with_the_next_destination_title_or_erasure() {
    let left = |then: LinkEvent| {
        let events = [created(), fetched("Example"), then];
        let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
        link.extras.fetched_title
    };
    assert_eq!(left(disabled()).unwrap().as_str(), "Example");
    assert_eq!(left(moved()), None);
    assert_eq!(left(titled(Some("Ours"))), None);
    assert_eq!(left(erased()), None);
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNo";
    let locked = |password| LinkEvent::PasswordChanged(LinkPasswordChanged { password });
    assert_eq!(left(locked(hash.parse().ok())), None);
    assert_eq!(left(locked(None)).unwrap().as_str(), "Example");
    let limited = |max_clicks| LinkEvent::MaxClicksChanged(LinkMaxClicksChanged { max_clicks });
    assert_eq!(left(limited("3".parse().ok())), None);
    let events = [created(), fetched("Example")];
    let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
    assert!(link.extras.of_redirects().is_none(), "redirects pay nothing for it");
}
