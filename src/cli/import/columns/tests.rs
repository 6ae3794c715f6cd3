use super::*;
use serde_json::json;

fn row(head: &[&str], row: &[&str]) -> Item {
    let columns = Columns::new(&StringRecord::from(head.to_vec()), &[]).unwrap();
    columns.item(&StringRecord::from(row.to_vec()), "line 2".to_owned(), None).unwrap()
}

#[test]
fn the_columns_of_each_program_are_known() {
    let shlink = row(
        &["createdAt", "title", "shortUrl", "domain", "shortCode", "longUrl", "tags", "visits"],
        &[
            "2026-01-01",
            "T",
            "https://s.test/Ab1",
            "s.test",
            "Ab1",
            "https://e.com/",
            "x, y|z",
            "7",
        ],
    );
    let expected =
        json!({"alias": "Ab1", "url": "https://e.com/", "title": "T", "tags": ["x, y", "z"]});
    assert_eq!(Value::from(shlink.body), expected);
    let older = row(
        &["createdAt", "title", "shortUrl", "longUrl", "tags", "visits"],
        &["2026-01-01", "", "https://s.test/Ab1", "https://e.com/", "", "7"],
    );
    assert_eq!(Value::from(older.body), json!({"alias": "Ab1", "url": "https://e.com/"}));
    let yourls = row(
        &["keyword", "url", "title", "timestamp", "ip", "clicks"],
        &["ozh", "https://ozh.org/", "ozh", "2026-01-01 00:00:00", "192.0.2.1", "3"],
    );
    let expected = json!({"alias": "ozh", "url": "https://ozh.org/", "title": "ozh"});
    assert_eq!(Value::from(yourls.body), expected);
    let bitly = row(
        &["Bitlink", "Long URL", "Title", "Date Created", "Tags", "Total Clicks", "Campaign"],
        &["bit.ly/3xYz", "https://e.com/", "T", "2026-01-01", "a,b", "9", "spring"],
    );
    let expected =
        json!({"alias": "3xYz", "url": "https://e.com/", "title": "T", "tags": ["a", "b"]});
    assert_eq!(Value::from(bitly.body), expected);
    assert_eq!(bitly.left, ["column Campaign"]);
}

#[test]
fn a_column_is_what_the_user_says() {
    let head = StringRecord::from(vec!["where to", "short"]);
    let given = |field: &str, column: &str| vec![(field.to_owned(), column.to_owned())];
    assert!(Columns::new(&head, &[]).unwrap_err().to_string().contains("--column url=NAME"));
    assert!(Columns::new(&head, &given("url", "nowhere")).is_err());
    assert!(Columns::new(&head, &given("nonsense", "short")).is_err());
    let given = [given("url", "where to"), given("code", "short")].concat();
    let columns = Columns::new(&head, &given).unwrap();
    let record = StringRecord::from(vec!["https://e.com/", "'-x"]);
    let item = columns.item(&record, String::new(), None).unwrap();
    assert_eq!(Value::from(item.body), json!({"alias": "-x", "url": "https://e.com/"}));
}

#[test]
fn what_the_user_says_goes_before_what_is_guessed() {
    let head = StringRecord::from(vec!["Target page", "url", "key", "alias"]);
    let given = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let columns = Columns::new(&head, &given(&[("url", "Target page"), ("code", "key")])).unwrap();
    let record = StringRecord::from(vec!["https://e.com/", "https://other.example/", "k", "x"]);
    let item = columns.item(&record, String::new(), None).unwrap();
    assert_eq!(Value::from(item.body), json!({"alias": "k", "url": "https://e.com/"}));
    assert_eq!(item.left, ["column url", "column alias"]);
    for (head, given) in [
        (vec!["url", "original_url"], given(&[])),
        (vec!["url", "code", "alias"], given(&[])),
        (vec!["one", "two"], given(&[("url", "one"), ("url", "two")])),
    ] {
        let told = Columns::new(&StringRecord::from(head), &given).unwrap_err().to_string();
        assert!(told.contains("--column"), "{told}");
    }
}

#[test]
fn a_domain_is_asked_for() {
    let head = StringRecord::from(vec!["link", "url"]);
    let columns = Columns::new(&head, &[]).unwrap();
    let record = StringRecord::from(vec!["https://bit.ly/a", "https://e.com/"]);
    assert!(columns.item(&record, String::new(), Some("BIT.LY")).is_some());
    assert!(columns.item(&record, String::new(), Some("j.mp")).is_none());
    assert_eq!(parts("http://s.test/a/b?c=d#e"), (Some("a/b".into()), Some("s.test".into())));
    assert_eq!(parts("s.test/"), (None, Some("s.test/".into())));
}

#[test]
fn the_state_of_a_link_of_ours_is_kept() {
    let of = |state| {
        row(&["code", "url", "state", "hasPassword"], &["a", "https://e.com/", state, "false"])
    };
    assert!(of("disabled").is_disabled && of("disabled").refused.is_none());
    assert!(!of("active").is_disabled);
    assert!(of("DISABLED").is_disabled);
    for state in ["deleted", "expired", "banned"] {
        assert!(of(state).refused.is_some_and(|reason| reason.contains(state)));
    }
}

/// Fault of click limits in the field: moving must not give a link its clicks again.
#[test]
fn a_link_of_ours_comes_with_the_clicks_that_are_left() {
    let of = |left| {
        row(&["code", "url", "maxClicks", "clicksLeft"], &["a", "https://e.com/", "10", left])
    };
    assert_eq!(of("4").body["maxClicks"], 4);
    assert_eq!(of("").body["maxClicks"], 10);
    assert!(of("0").refused.is_some());
    let later = json!({"url": "https://e.com/", "maxClicks": 7});
    assert!(of("4").differences(&later).is_empty(), "there it goes on, and is the same link");
    let later = json!({"url": "https://e.com/", "maxClicks": null});
    assert_eq!(of("4").differences(&later), ["maxClicks"]);
}
