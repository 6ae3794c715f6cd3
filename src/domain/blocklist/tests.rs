use super::*;
use line::LineError as E;

fn list(lines: &[&str]) -> BlockLists {
    let mut reader = BlockListReader::default();
    for line in lines {
        reader.line(line).unwrap();
    }
    BlockLists::of([Arc::new(reader.finish())])
}

fn found(list: &BlockLists, url: &str) -> Option<String> {
    list.find(&url.parse().unwrap()).map(Into::into)
}

#[test]
fn a_name_stands_for_itself_and_everything_below_it() {
    for line in ["bad.example", "*.bad.example", "0.0.0.0 bad.example", "http://bad.example/"] {
        let list = list(&[line]);
        for url in [
            "https://bad.example/",
            "http://www.bad.example:8080/path?q#f",
            "https://a.b.bad.example/",
        ] {
            assert_eq!(found(&list, url).as_deref(), Some("bad.example"), "{line}: {url}");
        }
        for url in ["https://notbad.example/", "https://bad.example.org/", "https://example/"] {
            assert_eq!(found(&list, url), None, "{line}: {url}");
        }
    }
}

/// Trap 9 (IDN and look-alikes) and trap 8 (spellings of one host): both sides are written by the same parser.
#[test]
fn trap_8_and_9_every_spelling_of_a_host_is_the_same_host() {
    let list =
        list(&["BAD.example.", "bücher.example", "203.0.113.7", "2001:db8::1", "[2001:db8::2]:80"]);
    for (url, entry) in [
        ("https://bad.EXAMPLE/", "bad.example"),
        ("https://bad.example./", "bad.example"),
        ("https://b%61d.example/", "bad.example"),
        ("https://ｂａｄ.example/", "bad.example"),
        ("https://bad。example/", "bad.example"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://203.0.113.7/", "203.0.113.7"),
        ("http://0xcb.0.0x71.7/", "203.0.113.7"),
        ("http://3405803783:81/", "203.0.113.7"),
        ("http://203.0.28935./", "203.0.113.7"),
        ("http://[::ffff:203.0.113.7]/", "203.0.113.7"),
        ("http://[2001:DB8:0::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::2]/", "[2001:db8::2]"),
    ] {
        assert_eq!(found(&list, url).as_deref(), Some(entry), "{url}");
    }
    for url in ["http://203.0.113.70/", "http://7/", "http://[2001:db8::3]/"] {
        assert_eq!(found(&list, url), None, "{url}");
    }
}

#[test]
fn pages_are_of_one_host_and_in_one_spelling() {
    let list = list(&[
        "files.example/get",
        "files.example/view?id=7",
        "files.example/~sam/p%c3%a4th*",
        "files.example/~sam/p%C3%A4th/deeper*",
        "http://files.example:8080/a/../b/*",
    ]);
    for (url, entry) in [
        ("https://files.example/get", "files.example/get"),
        ("https://files.example/get?any=1", "files.example/get"),
        ("https://files.example/g%65t#f", "files.example/get"),
        ("https://files.example/view?id=7", "files.example/view?id=7"),
        ("https://files.example:99/%7Esam/p%C3%a4ther", "files.example/~sam/p%C3%A4th*"),
        ("https://files.example/~sam/päth/deeper/still", "files.example/~sam/p%C3%A4th/deeper*"),
        ("https://files.example/x/../b/?q", "files.example/b/*"),
    ] {
        assert_eq!(found(&list, url).as_deref(), Some(entry), "{url}");
    }
    for url in [
        "https://files.example/",
        "https://files.example/get/more",
        "https://files.example/GET",
        "https://files.example/view?id=77",
        "https://files.example/~sam/",
        "https://files.example/b",
        "https://www.files.example/get",
    ] {
        assert_eq!(found(&list, url), None, "{url}");
    }
}

/// Whoever has looked at one entry has not looked at the others: each is found.
#[test]
fn all_entries_of_a_destination_are_found() {
    let one = list(&["bad.example", "a.bad.example", "a.bad.example/p*", "a.bad.example/p/q*"]);
    let two = list(&["a.bad.example/p/q?r", "*.example", "a.bad.example/p/q", "a.bad.example"]);
    let both = BlockLists(one.0.iter().chain(&two.0).cloned().collect());
    let entries = both.entries(&"https://a.bad.example/p/q?r".parse().unwrap());
    let expected = [
        "a.bad.example",
        "bad.example",
        "a.bad.example/p/q*",
        "a.bad.example/p*",
        "a.bad.example",
        "example",
        "a.bad.example/p/q",
        "a.bad.example/p/q?r",
    ];
    assert_eq!(entries, expected.map(Box::from));
}

#[test]
fn a_hosts_file_blocks_what_has_no_address_and_says_nothing_of_the_machine_itself() {
    let hosts = "\u{feff}# a list\n127.0.0.1\tlocalhost\n255.255.255.255 broadcasthost\n::1 localhost\n\
        fe80::1%lo0 localhost\nff02::1 ip6-allnodes\n0.0.0.0 0.0.0.0\n\n! another comment\n\
        0.0.0.0 one.example two.example # why\n127.0.0.1 three.example\r\n:: four.example";
    let list = list(&hosts.split('\n').collect::<Vec<_>>());
    assert_eq!(list.len(), 4);
    for name in ["one", "two", "three", "four"] {
        let url = format!("https://{name}.example/");
        assert_eq!(found(&list, &url), Some(format!("{name}.example")));
    }
    assert_eq!(found(&list, "http://localhost/"), None);
}

#[test]
fn a_line_that_is_wrong_is_told_and_blocks_nothing() {
    let long = "x".repeat(8_193);
    for (line, error) in [
        ("93.184.216.34 www.example", E::Address),
        ("bad.example worse.example", E::Words),
        ("com", E::TopLevel),
        ("http://com/", E::TopLevel),
        ("bad_*.example", E::Star),
        ("*", E::Star),
        ("bad.example/*/x", E::Star),
        ("*.bad.example/page", E::Star),
        ("203.0.113.0/24", E::Network),
        ("2001:db8::/32", E::Network),
        ("bad example.com", E::Words),
        ("user@bad.example", E::Host),
        ("..bad.example", E::Host),
        ("||bad.example^", E::Host),
        ("b%61d.example", E::Host),
        ("ftp://bad.example/", E::Host),
        ("javascript:alert(1)", E::Host),
        ("<!doctype html>", E::Words),
        ("document.login.submit();", E::Host),
        ("login.form{color:red}", E::Host),
        ("a,b.example", E::Host),
        ("bad（1）.example", E::Host),
        ("js/app.js", E::Host),
        ("/css/all.css", E::Host),
        ("[bad.example]", E::Host),
        (long.as_str(), E::TooLong),
    ] {
        let mut reader = BlockListReader::default();
        assert_eq!(reader.line(line), Err(error), "{line}");
        assert!(reader.finish().is_empty(), "{line}");
    }
    assert_eq!(found(&list(&["*.zip"]), "https://any.zip/").as_deref(), Some("zip"));
}

#[test]
fn a_million_names_are_few_bytes_each() {
    let mut reader = BlockListReader::default();
    for n in 0..1_000_000 {
        reader.line(&format!("0.0.0.0 host-{n}.bad.test")).unwrap();
    }
    let list = reader.finish();
    assert_eq!(list.len(), 1_000_000);
    // 19.9 letters each, and 4 bytes.
    assert_eq!(list.bytes() / 10_000, 2_388);
    let lists = BlockLists::of([Arc::new(list)]);
    assert!(found(&lists, "https://www.host-999999.bad.test/").is_some());
    assert!(found(&lists, "https://host-1000000.bad.test/").is_none());
}

mod beginnings {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_page_is_found_by_any_of_its_beginnings(
            beginnings in prop::collection::vec("[ab]{1,6}", 0..30),
            page in "[ab]{1,9}",
        ) {
            let mut reader = BlockListReader::default();
            for beginning in &beginnings {
                reader.line(&format!("files.example/{beginning}*")).unwrap();
            }
            let list = BlockLists::of([Arc::new(reader.finish())]);
            let url = format!("https://files.example/{page}");
            let mut those: Vec<_> = beginnings.iter().filter(|b| page.starts_with(*b)).collect();
            those.sort_unstable_by_key(|beginning| std::cmp::Reverse(beginning.len()));
            those.dedup();
            let expected: Vec<Box<str>> =
                those.iter().map(|b| format!("files.example/{b}*").into()).collect();
            prop_assert_eq!(list.entries(&url.parse().unwrap()), expected);
        }
    }
}
