//! Visits that led nowhere in files.

use super::{Column, Form, Table};

/// The columns: what an answer of the API says of such a visit.
const COLUMNS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("kind", "/kind"),
    ("domain", "/domain"),
    ("path", "/path"),
    ("at", "/at"),
    ("class", "/class"),
    ("country", "/country"),
    ("region", "/region"),
    ("city", "/city"),
    ("device", "/device"),
    ("browser", "/browser"),
    ("system", "/system"),
    ("referrer", "/referrer"),
    ("language", "/language"),
];

/// The table that they are exported as.
#[must_use]
pub fn table(form: Form) -> Table {
    let column = |(name, pointer): &(&'static str, &'static str)| Column { name, pointer };
    Table::new(COLUMNS.iter().map(column).collect(), form)
}
