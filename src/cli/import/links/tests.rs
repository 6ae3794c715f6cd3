use super::*;

fn rows(text: &str) -> Result<Vec<Row>, CliError> {
    read(text.as_bytes(), Path::new("dir/links.csv"), false)
}

#[test]
fn a_row_becomes_the_fields_it_has() {
    let text = "alias,url,tags,title,utmSource,utmTerm,forwardPath,maxClicks\n\
                launch,https://e.com/,\"a; b,c\",,mail,,true,3\n";
    let rows = rows(text).unwrap();
    let mut body = rows[0].body.clone();
    let key = body.as_object_mut().unwrap().remove("idempotencyKey");
    assert!(key.is_some_and(|key| key.is_string()));
    assert_eq!(
        body,
        json!({
            "alias": "launch", "url": "https://e.com/", "tags": ["a", "b", "c"],
            "utm": {"source": "mail"}, "forwardPath": true, "maxClicks": 3,
        })
    );
    assert_eq!(rows[0].line, 2);
}

#[test]
fn a_row_has_the_same_key_in_every_run_and_no_other_row_has_it() {
    let text = "url\nhttps://e.com/\nhttps://e.com/\nhttps://f.com/\n";
    let keys = |text| -> Vec<Value> {
        rows(text).unwrap().iter().map(|row| row.body["idempotencyKey"].clone()).collect()
    };
    let first = keys(text);
    assert_eq!(first, keys(text));
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    // A row that is added in the middle leaves the others' keys as they are.
    let grown = keys("url\nhttps://new.com/\nhttps://e.com/\nhttps://e.com/\nhttps://f.com/\n");
    assert_eq!(first[..], grown[1..]);
}

/// Fault 6 of passwords in the field: a key is on the log, and must be no quick way to guess a password.
#[test]
fn a_row_is_known_without_its_password() {
    let row = |password| {
        let text = format!("url,password\nhttps://e.com/,{password}\n");
        rows(&text).unwrap().remove(0).body
    };
    let (one, other) = (row("sesame"), row("other"));
    assert_eq!((&one["password"], &other["password"]), (&json!("sesame"), &json!("other")));
    assert_eq!(one["idempotencyKey"], other["idempotencyKey"]);
    assert_eq!(bulk::key_of(&[one]), bulk::key_of(&[other]), "nor in a header");
}

/// Fault 6 of passwords in the field: what was protected, off or used up is not opened by moving.
#[test]
fn fault_6_a_row_that_was_not_open_is_refused() {
    for (columns, cells, reason) in [
        ("hasPassword", "TRUE", Some("password")),
        ("hasPassword,password", "true,sesame", None),
        ("hasPassword", "FALSE", None),
        ("state", "disabled", Some("was disabled")),
        ("state", "Deleted", Some("was deleted")),
        ("state", "expired", Some("was expired")),
        ("state", "scheduled", None),
        ("maxClicks,clicksLeft", "10,0", Some("all the clicks")),
    ] {
        let text = format!("url,{columns}\nhttps://e.com/,{cells}\n");
        let refused = rows(&text).unwrap().remove(0).refused;
        match (reason, &refused) {
            (None, None) => {}
            (Some(reason), Some(told)) if told.contains(reason) => {}
            _ => panic!("{cells}: {refused:?}"),
        }
    }
    let left = rows("url,maxClicks,clicksLeft\nhttps://e.com/,10,4\n").unwrap().remove(0);
    assert_eq!((&left.body["maxClicks"], left.refused), (&json!(4), None));
}

#[test]
fn a_file_that_is_wrong_is_refused_before_anything_is_sent() {
    for (text, reason) in [
        ("link\nx\n", "unknown column \"link\""),
        ("alias\nx\n", "no column url"),
        ("url,alias\nhttps://e.com/\n", "line: 2"),
        ("", "no column url"),
    ] {
        let error = rows(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.starts_with("dir/links.csv: "), "{error}");
    }
}
