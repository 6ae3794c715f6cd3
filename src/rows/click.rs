//! Clicks in files.

use super::{Column, Form, Table};

/// The columns: what an answer of the API says of a click.
const COLUMNS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("code", "/code"),
    ("at", "/at"),
    ("recordedAt", "/recordedAt"),
    ("class", "/class"),
    ("country", "/country"),
    ("region", "/region"),
    ("city", "/city"),
    ("device", "/device"),
    ("browser", "/browser"),
    ("system", "/system"),
    ("referrer", "/referrer"),
    ("referrerUrl", "/referrerUrl"),
    ("language", "/language"),
    ("utmSource", "/utm/source"),
    ("utmMedium", "/utm/medium"),
    ("utmCampaign", "/utm/campaign"),
    ("utmTerm", "/utm/term"),
    ("utmContent", "/utm/content"),
    ("variant", "/variant"),
    ("rule", "/rule"),
    ("visitor", "/visitor"),
    ("userAgent", "/userAgent"),
    ("address", "/address"),
];

/// The table that clicks are exported as.
#[must_use]
pub fn table(form: Form) -> Table {
    let column = |(name, pointer): &(&'static str, &'static str)| Column { name, pointer };
    Table::new(COLUMNS.iter().map(column).collect(), form)
}
