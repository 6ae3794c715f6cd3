use std::net::IpAddr;

use hyper::Method;

use super::*;
use crate::ratelimit::{Outage, Refund};

/// Policies that are wrong, each with the line of the mistake and words of the reason.
const WRONG: &[(&str, usize, &[&str])] = &[
    (
        "[[policies]]\nname = 'Text'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = []\n",
        2,
        &["a-z"],
    ),
    ("[[policies]]\nname = 'a'\nby = 'key'\ntiers = []\n", 1, &["match"]),
    (
        "[[policies]]\nname = 'a'\nmatch = {}\nby = 'key'\ntiers = []\n",
        3,
        &["routes", "unknown-code"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['/api/v1/links/abc'] }\nby = 'key'\ntiers = []\n",
        3,
        &["/api/v1/links/abc", "create", "{code}"],
    ),
    (
        "\n\n[[policies]]\nname = 'a'\nmatch = { routes = ['redirect'] }\nby = 'key'\ntiers = []\n",
        6,
        &["redirect", "address, everyone"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'ip'\ntiers = []\n",
        4,
        &["\"ip\"", "address", "key-or-address"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = []\n",
        5,
        &["tiers", "1 to 8"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [\n  { limit = 1, per = '1s' },\n  { limit = 0, per = '1m' },\n]\n",
        7,
        &["limit", "from 1"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = -5, per = '1m' }]\n",
        5,
        &["limit", "from 1"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 1, per = 'soon' }]\n",
        5,
        &["per", "unit s, m, h, d"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 1, per = '1m', algorithm = 'leaky' }]\n",
        5,
        &["gcra", "sliding-log"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 1, per = '1m', algorithm = 'fixed-window', burst = 2 }]\n",
        5,
        &["burst"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\ncost = 6\n",
        6,
        &["cost", "1 to 5"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\ncost = -1\n",
        6,
        &["cost", "1 to 5"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\ncost = 'links'\n",
        6,
        &["create and bulk"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\noutage = 'ignore'\n",
        6,
        &["outage", "local, open, closed"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\nrefund = 'always'\n",
        6,
        &["refund", "never, success, failure"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\nshadows = true\n",
        6,
        &["shadows", "shadow"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'], addresses = ['10.0.0.0/99'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["10.0.0.0/99"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'], methods = ['get'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["GET, HEAD"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nexcept = { scopes = ['root'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\n",
        4,
        &["links:read"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['create'], new_for = 'ever' }\nby = 'owner'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["new_for", "unit s, m, h, d"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['redirect'], new_for = '1d' }\nby = 'address'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["redirect", "nothing is known of keys there"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['redirect'] }\nexcept = { scopes = ['admin'] }\nby = 'address'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["redirect", "keys"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\n[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [{ limit = 5, per = '1m' }]\n",
        7,
        &["two policies", "\"a\""],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['redirect'] }\nby = 'address'\ntiers = [{ limit = 5, per = '1m' }]\nrefund = 'success'\n",
        6,
        &["refund", "redirect", "allowed: never"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api', 'service'] }\nby = 'everyone'\ntiers = [{ limit = 5, per = '1m' }]\nrefund = 'failure'\n",
        6,
        &["refund", "service", "allowed: never"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['service'], methods = ['POST'] }\nby = 'subject'\ntiers = [{ limit = 5, per = '1m' }]\n",
        3,
        &["service", "methods and addresses"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['service'] }\nexcept = { addresses = ['10.0.0.0/8'] }\nby = 'subject'\ntiers = [{ limit = 5, per = '1m' }]\n",
        4,
        &["service", "methods and addresses"],
    ),
    (
        "[[policies]]\nname = 'a'\nmatch = { routes = ['api'] }\nby = 'key'\ntiers = [\n  { limit = 1, per = '60s' },\n  { limit = 2, per = '1m' },\n]\n",
        7,
        &["two tiers have 1m"],
    ),
    ("limits = 1\n", 1, &["limits", "policies"]),
    ("[[policies]]\nname = 7\n", 2, &["string"]),
    ("[[policies]\n", 1, &[]),
];

#[test]
fn a_policy_that_is_wrong_is_named_with_its_line_and_what_is_allowed() {
    for (text, line, words) in WRONG {
        let error = Rules::parse(text).expect_err(text);
        assert_eq!(error.line, *line, "{text}{error}");
        for word in *words {
            assert!(error.reason.contains(word), "{word} in {error}\n{text}");
        }
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

fn names(rules: &Rules) -> Vec<&str> {
    rules.all().iter().map(Rule::name).collect()
}

#[test]
fn what_is_built_in_can_be_read() {
    let rules = Rules::builtin().unwrap();
    let expected = [
        "create",
        "create-bulk",
        "rename",
        "api",
        "api-admin",
        "redirect",
        "unknown-code",
        "auth-failure",
        "auth-failure-key",
        "wrong-password",
        "wrong-password-link",
        "report",
        "report-link",
    ];
    assert_eq!(names(&rules), expected);
}

#[test]
fn a_file_adds_to_what_is_built_in_takes_its_place_or_leaves_it_out() {
    let create = "[[policies]]\nname = 'create'\nmatch = { routes = ['create'] }\nby = 'owner'\n\
                  tiers = [{ limit = 7, per = '1h' }]\nrefund = 'failure'\noutage = 'closed'\n\
                  shadow = true\n";
    let builtin = names(&Rules::builtin().unwrap()).len();
    let rules = Rules::parse(create).unwrap();
    assert_eq!(rules.all().len(), builtin);
    let policy = rules.all().iter().find(|rule| rule.name() == "create").unwrap().policy();
    assert_eq!((policy.refund(), policy.outage()), (Refund::OnFailure, Outage::Closed));
    assert!(policy.is_shadow() && policy.capacity() == 7);
    assert_eq!(names(&Rules::parse(&format!("builtin = false\n{create}")).unwrap()), ["create"]);
    let other = create.replace("'create'\n", "'other'\n");
    assert_eq!(Rules::parse(&other).unwrap().all().len(), builtin + 1);
    assert_eq!(names(&Rules::parse("builtin = false").unwrap()), [""; 0]);
    let in_settings =
        create.replace("[[policies]]", "listen = '127.0.0.1:1'\n[[rate_limits.policies]]");
    let rules = Rules::parse_settings(&in_settings).unwrap();
    assert_eq!(rules.all().len(), builtin);
    let wrong = in_settings.replace("'1h'", "'1x'");
    assert_eq!(Rules::parse_settings(&wrong).unwrap_err().line, 6);
}

/// The file of the documentation, word for word.
#[test]
fn the_example_of_the_documentation_can_be_read() {
    let page = include_str!("../../docs/rate-limits.md");
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        let read = if example.contains("[[rate_limits.policies]]") {
            Rules::parse_settings(example)
        } else {
            Rules::parse(example)
        };
        let rules = read.unwrap_or_else(|error| panic!("{error} in\n{example}"));
        assert!(!rules.all().is_empty());
    }
}

fn visitor(address: &str) -> Asker<'static> {
    Asker { address: address.parse::<IpAddr>().unwrap(), principal: None }
}

fn charged(rules: &Rules, asker: &Asker<'_>, method: &Method, route: &str) -> Vec<String> {
    let request = ApiRequest { method, route, asker: *asker };
    let charges = rules.api(&request).unwrap();
    charges.iter().map(|charge| charge.policy().name().to_string()).collect()
}

#[test]
fn a_request_meets_the_policies_of_its_route() {
    let rules = Rules::builtin().unwrap();
    let asker = visitor("203.0.113.9");
    let post = |route| charged(&rules, &asker, &Method::POST, route);
    assert_eq!(post("/api/v1/links"), ["create", "api"]);
    assert_eq!(post("/api/shorten"), ["create", "api"]);
    assert_eq!(post("/api/v1/links/bulk"), ["api"]);
    assert_eq!(charged(&rules, &asker, &Method::GET, "/api/v1/links"), ["api"]);
    assert_eq!(post("/api/v1/tags/{tag}/rename"), ["api"], "by key: this asker has none");
}

/// HEAD is answered as GET is: it would be the way around.
#[test]
fn what_holds_for_get_holds_for_head() {
    let rules = |place: &str, methods: &str| {
        let text = format!(
            "builtin = false\n[[policies]]\nname = 'a'\nby = 'address'\n\
             match = {{ routes = ['{place}'], methods = [{methods}] }}\n\
             tiers = [{{ limit = 5, per = '1m' }}]\n"
        );
        Rules::parse(&text).unwrap()
    };
    let asker = visitor("203.0.113.9");
    for (methods, method, holds) in [
        ("'GET'", Method::GET, true),
        ("'GET'", Method::HEAD, true),
        ("'GET'", Method::POST, false),
        ("'HEAD'", Method::HEAD, true),
        ("'HEAD'", Method::GET, false),
    ] {
        let names = charged(&rules("api", methods), &asker, &method, "/api/v1/top");
        assert_eq!(!names.is_empty(), holds, "{methods} {method}");
        let rules = rules("unknown-code", methods);
        let charges = rules.unknown_code(&method, &asker).unwrap();
        assert_eq!(!charges.is_empty(), holds, "{methods} {method} of an unknown code");
    }
}

/// Trap 13: an address is no key, and no path is a subject.
#[test]
fn trap_13_subjects_are_of_a_kind() {
    let rules = Rules::builtin().unwrap();
    let unknown = rules.unknown_code(&Method::GET, &visitor("2001:db8::1")).unwrap();
    let neighbour = rules.unknown_code(&Method::GET, &visitor("2001:db8::2")).unwrap();
    let stranger = rules.unknown_code(&Method::GET, &visitor("2001:db8:0:1::1")).unwrap();
    assert_eq!(unknown[0].subject(), neighbour[0].subject(), "one /64");
    assert_ne!(unknown[0].subject(), stranger[0].subject());
    let failure =
        rules.auth_failure((&Method::GET, &visitor("2001:db8::1")), "2001:db8::1").unwrap();
    assert_eq!(failure.len(), 2);
    assert_ne!(failure[0].subject(), failure[1].subject());
}

/// Trap 13: what one owner asks about is nobody else's, however the names are cut.
#[test]
fn trap_13_owners_do_not_share_subjects() {
    let text = "[[policies]]\nname = 'texts'\nmatch = { routes = ['service'] }\nby = 'subject'\n\
                tiers = [{ limit = 5, per = '1m' }]\n";
    let rules = Rules::parse(text).unwrap();
    let rule = rules.service("texts").unwrap();
    let subject = |owner, subject| rule.asked(owner, subject, 1).unwrap().subject();
    assert_eq!(subject("ann", "x"), subject("ann", "x"));
    assert_ne!(subject("ann", "x"), subject("bob", "x"));
    assert_ne!(subject("ann", "a:x"), subject("ann:a", "x"));
    assert!(rule.asked("ann", "x", 6).is_err(), "trap 10: it could never pass");
    assert!(rule.asked("ann", "x", 0).is_err(), "trap 13: it would cost nothing");
    assert_eq!(rules.services(), ["texts"]);
}

#[test]
fn no_more_policies_hold_for_every_request_than_can_be_decided_together() {
    let policy = |n: usize| {
        format!(
            "[[policies]]\nname = 'p{n}'\nmatch = {{ routes = ['redirect'] }}\nby = 'address'\n\
                 tiers = [{{ limit = 5, per = '1m' }}]\n"
        )
    };
    let file = |count: usize| (0..count).map(policy).collect::<String>();
    assert!(Rules::parse(&format!("builtin = false\n{}", file(8))).is_ok());
    let error = Rules::parse(&format!("builtin = false\n{}", file(9))).unwrap_err();
    assert!(error.reason.contains("redirect"), "{error}");
}
