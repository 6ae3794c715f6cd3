//! What the command line says becomes what is sent.

use super::*;
use clap::FromArgMatches;

fn action(line: &str) -> Action {
    let command = Action::augment_subcommands(clap::Command::new("link"));
    let matches = command.try_get_matches_from(line.split_whitespace()).unwrap();
    Action::from_arg_matches(&matches).unwrap()
}

#[test]
fn a_new_link_has_the_fields_that_were_given_and_no_others() {
    let line = "link create https://e.com/ --alias a --expires-in 7d --tag x --tag y --archived \
                --valid-from 2030-01-01T00:00:00Z --expired-url https://e.com/over --forward-query append \
                --forward-path true --max-clicks 1 --utm-source s --utm-term t \
                --preview-title P --preview-image https://e.com/i";
    let Action::Create(create) = action(line) else { panic!("not a create") };
    let body = json!({
        "url": "https://e.com/", "alias": "a", "expiresIn": "7d", "tags": ["x", "y"],
        "archived": true, "validFrom": "2030-01-01T00:00:00Z", "expiredUrl": "https://e.com/over",
        "forwardQuery": "append", "forwardPath": true, "maxClicks": 1, "utm": {"source": "s", "term": "t"},
        "preview": {"title": "P", "image": "https://e.com/i"},
    });
    assert_eq!(create.body().unwrap(), body);
}

#[test]
fn a_password_is_the_first_line_of_a_file_and_no_argument() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("link create https://e.com/ --password-file {}", file.path().display());
    for text in [" open sesame \r\nmore\n", " open sesame \n", " open sesame "] {
        std::fs::write(file.path(), text).unwrap();
        let Action::Create(create) = action(&line) else { panic!("not a create") };
        assert_eq!(create.body().unwrap()["password"], " open sesame ");
    }
    let Action::Edit(edit) = action("link edit a --password-file /no/such/file") else {
        panic!("not an edit")
    };
    assert!(edit.patch().unwrap_err().to_string().contains("/no/such/file"));
    let Action::Edit(edit) = action("link edit a --clear password") else { panic!("not an edit") };
    assert_eq!(edit.patch().unwrap(), json!({ "password": null }));
}

#[test]
fn an_edit_is_a_merge_patch() {
    let line = "link edit a --title T --clear expiry,external-id,valid-from,expired-url,forward-query,max-clicks,utm --redirect 308";
    let Action::Edit(edit) = action(line) else { panic!("not an edit") };
    let patch = json!({
        "title": "T", "expiresAt": null, "externalId": null, "validFrom": null, "expiredUrl": null,
        "redirect": 308, "forwardQuery": null, "maxClicks": null, "utm": null,
    });
    assert_eq!(edit.patch().unwrap(), patch);
}

#[test]
fn a_link_is_printed_field_by_field() {
    let link = json!({
        "shortUrl": "http://h/a", "url": "https://e.com/", "state": "active", "tags": ["x", "y"],
        "title": "a\u{1b}[2J", "note": null, "redirect": 302, "version": 2,
        "clicks": {"total": 3, "humans": 2, "bots": 1},
        "warnings": [{"code": "c", "detail": "looks alike"}],
    });
    let mut out = Vec::new();
    print_link(&link, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    shortUrl    http://h/a
    url         https://e.com/
    state       active
    redirect    302
    title       a�[2J
    tags        x, y
    version     2
    clicks      3 (2 of people, 1 of bots)
    warning     looks alike
    ");
}
