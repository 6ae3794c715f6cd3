use super::*;
use crate::cli::client::ServerArgs;

fn past() -> Past {
    let server = "http://127.0.0.1:1".parse().unwrap();
    let client = Client::new(ServerArgs { server, api_key: None }).unwrap();
    Past::new(&client, "test".to_owned())
}

fn click(name: Option<&str>) -> PastClick {
    let at = crate::cli::import::item::time_of("2026-05-17T10:00:00Z");
    let name = name.map(str::to_owned);
    PastClick { code: "a".to_owned(), at, name, ..PastClick::default() }
}

#[test]
fn a_click_has_the_same_name_in_every_run_and_no_other_has_it() {
    let ids = || {
        let mut past = past();
        [None, None, Some("1"), Some("2")].map(|name| past.import_id(&click(name)))
    };
    let first = ids();
    assert_eq!(first, ids());
    let distinct: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), first.len());
}

/// A source that looks addresses up later, or drops them, tells the same click in other words.
#[test]
fn a_click_is_the_same_when_it_was_located() {
    let id = |address: &str, country: &str| {
        let (address, country) = (address.to_owned(), country.to_owned());
        past().import_id(&PastClick { address, country, ..click(None) })
    };
    assert_eq!(id("", ""), id("", "IN"));
    assert_eq!(id("192.0.2.1", ""), id("192.0.2.0", "IN"));
}

#[test]
fn what_is_no_country_or_address_is_left_out() {
    let click = PastClick {
        country: "Unknown".to_owned(),
        address: "198.51.100.0/24".to_owned(),
        ..click(None)
    };
    let body = body(&click, "x");
    assert_eq!(body, json!({"code": "a", "at": "2026-05-17T10:00:00.000000Z", "importId": "x"}));
}

#[tokio::test]
async fn a_click_without_a_time_is_left_out() {
    let mut past = past();
    let click = PastClick { at: None, ..click(None) };
    past.take(click, &ProgressBar::hidden()).await.unwrap();
    assert_eq!((past.bad, past.waiting.len()), (1, 0));
}
