//! What is sent: the tables.

use serde_json::{Value, json};

/// URLs that are none, lead nowhere good or deceive who reads them. U12 and trap 8.
const URLS: &[&str] = &[
    "",
    " ",
    "example.com",
    "//example.com/",
    "/relative",
    "https://",
    "https:///path",
    "http:example.com",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://example.com/",
    "vbscript:x",
    "blob:https://example.com/1",
    "https://user:secret@example.com/",
    "https://user@example.com/",
    "https://@example.com/",
    "https://example.com/\r\nSet-Cookie: a=b",
    "https://exa\tmple.com/",
    "https://example.com/a b",
    "https://example.com\\@evil.example/",
    "https://example.com/\u{0}",
    "https://example.com/\u{202e}gpj.exe",
    "https://exam\u{200b}ple.com/",
    "https://[::1/",
    "https://256.256.256.256/",
    "https://example.com:99999/",
    "https://xn--/",
    "https://exa mple.com/",
];

/// Texts that a field must refuse: U13 to U16, traps 9 and 16.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "alias",
        &[
            "", " ", "a b", "a/b", "../x", "a.b", "a%2fb", "é", "a\0", "a?b", "a#b", "api", "API",
            "Health", "metrics", "docs", "admin", "robots", "favicon",
        ],
    ),
    (
        "expiresAt",
        &[
            "",
            "tomorrow",
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2020-01-01T00:00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-02-30T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+262142-01-01T00:00:00Z",
            "0000-00-00T00:00:00Z",
        ],
    ),
    (
        "expiresIn",
        &[
            "",
            "0",
            "0s",
            "-1",
            "-7d",
            "1.5h",
            "7 d",
            "7dd",
            "7D",
            "d",
            "1e9",
            "1d2h",
            "٣d",
            "99999999999999999999",
            "18446744073709551615w",
            "101y",
            "36601d",
        ],
    ),
    ("title", &["", "a\nb"]),
    ("note", &["\u{7}"]),
    ("externalId", &[""]),
    ("validFrom", &["", "tomorrow", "2030-01-01", "9999-12-31T23:59:59Z"]),
    ("expiredUrl", &["", "example.com", "javascript:alert(1)", "https://user@example.com/"]),
    ("archived", &["", "true"]),
    ("forwardQuery", &["", "yes", "Append"]),
    ("forwardPath", &["", "true"]),
    ("maxClicks", &["", "1"]),
    ("password", &["", "a\nb", "a\u{0}b"]),
    ("rules", &["", "[]"]),
    ("split", &["", "[]"]),
    ("preview", &["", "title"]),
    ("upsert", &["yes"]),
    ("utm", &["", "source"]),
    ("redirect", &["302"]),
    ("reuse", &["yes"]),
    ("domain", &["evil.example"]),
    ("tags", &["one"]),
    ("longUrl", &["https://example.com/"]),
];

/// Values that no URL can have.
pub(super) fn urls() -> Vec<Value> {
    let mut urls: Vec<Value> = URLS.iter().map(|url| Value::from(*url)).collect();
    urls.push(format!("https://example.com/{}", "a".repeat(8_192)).into());
    urls.push(format!("https://example.com/{}", "é".repeat(2_000)).into());
    urls.extend([json!(1), json!(true), json!(["https://example.com/"]), json!({"a": 1})]);
    urls
}

/// Fields that are wrong one at a time, each under the pointer that must be named.
pub(super) fn fields() -> Vec<(&'static str, Value)> {
    let texts =
        TEXTS.iter().flat_map(|(field, texts)| texts.iter().map(|text| (*field, json!(text))));
    let mut fields: Vec<_> = texts.collect();
    fields.extend([
        ("alias", json!("a".repeat(65))),
        ("expiresIn", json!(-5)),
        ("expiresIn", json!(0)),
        ("expiresIn", json!(1.5)),
        ("expiresIn", json!(1e300)),
        ("expiresIn", json!([7])),
        ("expiresAt", json!(1_893_456_000)),
        ("redirect", json!(200)),
        ("redirect", json!(303)),
        ("redirect", json!(302.5)),
        ("redirect", json!(65_838)),
        ("title", json!("x".repeat(256))),
        ("title", json!(1)),
        ("validFrom", json!(1_893_456_000)),
        ("expiredUrl", json!(["https://example.com/"])),
        ("archived", json!(1)),
        ("forwardQuery", json!(true)),
        ("forwardPath", json!(1)),
        ("maxClicks", json!(0)),
        ("maxClicks", json!(-1)),
        ("maxClicks", json!(1.5)),
        ("maxClicks", json!(100_001)),
        ("maxClicks", json!(1e300)),
        ("maxClicks", json!(true)),
        ("password", json!(true)),
        ("password", json!("x".repeat(129))),
        ("rules", json!({ "when": {} })),
        ("rules/0", json!(["x"])),
        ("rules/0/when", json!([{ "url": "https://example.com/" }])),
        (
            "rules/0/when/country/0",
            json!([{ "when": { "country": ["UK"] }, "url": "https://example.com/" }]),
        ),
        ("split", json!([{ "name": "a", "weight": 1 }])),
        ("split/0", json!([1])),
        ("split/0/weight", json!([{ "name": "a", "weight": "1" }])),
        ("split/0/name", json!([{ "weight": 1 }])),
        ("utm", json!(["source"])),
        ("utm/source", json!({ "source": "" })),
        ("utm/medium", json!({ "medium": 1 })),
        ("utm/term", json!({ "term": "a\nb" })),
        ("utm/content", json!({ "content": "x".repeat(256) })),
        ("utm/utm_source", json!({ "utm_source": "x" })),
        ("note", json!("x".repeat(2_001))),
        ("tags/0", json!([""])),
        ("tags/1", json!(["a", 1])),
        ("tags/0", json!(["x".repeat(51)])),
        ("tags", json!((0..21).map(|n| n.to_string()).collect::<Vec<_>>())),
        ("__proto__", json!({})),
    ]);
    fields.extend(previews());
    fields
}

/// The same of what chats show.
fn previews() -> [(&'static str, Value); 8] {
    [
        ("preview", json!(["title"])),
        ("preview/title", json!({ "title": "" })),
        ("preview/title", json!({ "title": "x".repeat(256) })),
        ("preview/description", json!({ "description": "a\nb" })),
        ("preview/description", json!({ "description": "x".repeat(501) })),
        ("preview/image", json!({ "image": "javascript:alert(1)" })),
        ("preview/image", json!({ "image": "/card.png" })),
        ("preview/images", json!({ "images": [] })),
    ]
}

/// Bodies that are no JSON object, and what they are answered with.
pub(super) fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>, u16, &'static str)> {
    const JSON: &str = "application/json";
    let good = br#"{"url":"https://example.com/"}"#.to_vec();
    let deep = format!("{{\"url\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = deep.into_bytes();
    vec![
        ("nothing", JSON, vec![], 400, "invalid_json"),
        ("white space", JSON, b"  \n".to_vec(), 400, "invalid_json"),
        ("half an object", JSON, b"{\"url\":".to_vec(), 400, "invalid_json"),
        ("two objects", JSON, b"{}{}".to_vec(), 400, "invalid_json"),
        ("a list", JSON, b"[]".to_vec(), 400, "invalid_json"),
        ("null", JSON, b"null".to_vec(), 400, "invalid_json"),
        ("a text", JSON, b"\"x\"".to_vec(), 400, "invalid_json"),
        ("a number", JSON, b"1".to_vec(), 400, "invalid_json"),
        ("NaN", JSON, b"{\"url\":NaN}".to_vec(), 400, "invalid_json"),
        (
            "invalid UTF-8",
            JSON,
            b"{\"url\":\"https://example.com/\xff\"}".to_vec(),
            400,
            "invalid_json",
        ),
        (
            "half a surrogate",
            JSON,
            br#"{"url":"https://example.com/\ud800"}"#.to_vec(),
            400,
            "invalid_json",
        ),
        ("comments", JSON, b"{/**/}".to_vec(), 400, "invalid_json"),
        (
            "a form",
            "application/x-www-form-urlencoded",
            b"url=x".to_vec(),
            415,
            "unsupported_media_type",
        ),
        ("text", "text/plain", good.clone(), 415, "unsupported_media_type"),
        ("no type", "", good.clone(), 415, "unsupported_media_type"),
        ("almost the type", "application/jsonx", good, 415, "unsupported_media_type"),
        ("deep", JSON, deep[..60_000].to_vec(), 400, "invalid_json"),
        ("too deep for the limit", JSON, deep, 413, "too_large"),
        ("large", JSON, vec![b' '; 70_000], 413, "too_large"),
    ]
}
