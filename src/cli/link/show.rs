//! A link, as `hoplog link show` and the commands that change one print it.

use std::io;

use serde_json::Value;

use crate::cli::Out;
use crate::cli::table::{cell, plain};

/// Every field that has a value, on a line of its own.
pub(super) fn print_link(link: &Value, out: &mut Out) -> io::Result<()> {
    const FIELDS: [&str; 15] = [
        "shortUrl",
        "url",
        "state",
        "createdAt",
        "expiresAt",
        "redirect",
        "title",
        "fetchedTitle",
        "tags",
        "note",
        "externalId",
        "validFrom",
        "expiredUrl",
        "owner",
        "version",
    ];
    for name in FIELDS {
        let value = cell(&link[name]);
        if !value.is_empty() {
            // A destination is shown whole: what is cut off can't be checked.
            let value = if matches!(name, "url" | "expiredUrl") { value } else { plain(&value) };
            writeln!(out, "{name:<10}  {value}")?;
        }
    }
    for (name, field, value) in [
        ("archived", "archived", "yes"),
        ("password", "hasPassword", "asked for"),
        ("forwards", "forwardPath", "paths behind the code"),
    ] {
        if link[field] == true {
            writeln!(out, "{name:<10}  {value}")?;
        }
    }
    if let Some(how) = link["forwardQuery"].as_str() {
        writeln!(out, "{:<10}  the query ({})", "forwards", plain(how))?;
    }
    if let (Some(max), Some(left)) = (link["maxClicks"].as_u64(), link["clicksLeft"].as_u64()) {
        writeln!(out, "{:<10}  {max}, of which {left} are left", "maxClicks")?;
    }
    if let Some(reports) = link["reports"].as_u64().filter(|reports| *reports > 0) {
        writeln!(out, "{:<10}  {reports}", "reports")?;
    }
    print_quarantine(&link["quarantine"], out)?;
    print_destinations(link, out)?;
    for part in ["title", "description", "image"] {
        let text = cell(&link["preview"][part]);
        if !text.is_empty() {
            writeln!(out, "{:<10}  {part}: {}", "preview", plain(&text))?;
        }
    }
    if link["clicks"].is_object() {
        let [total, humans, bots] =
            ["total", "humans", "bots"].map(|name| link["clicks"][name].as_u64().unwrap_or(0));
        writeln!(out, "{:<10}  {total} ({humans} of people, {bots} of bots)", "clicks")?;
    }
    for warning in link["warnings"].as_array().into_iter().flatten() {
        writeln!(out, "{:<10}  {}", "warning", plain(&cell(&warning["detail"])))?;
    }
    Ok(())
}

/// Where it leads some of its visitors instead.
fn print_destinations(link: &Value, out: &mut Out) -> io::Result<()> {
    for rule in link["rules"].as_array().into_iter().flatten() {
        let name = rule["name"].as_str().map(|name| format!("{name}: ")).unwrap_or_default();
        writeln!(out, "{:<10}  {}{}", "rule", plain(&name), plain(&rule["when"].to_string()))?;
        writeln!(out, "{:<10}  leads to {}", "", cell(&rule["url"]))?;
    }
    for variant in link["split"].as_array().into_iter().flatten() {
        let url = if variant["url"].is_null() { &link["url"] } else { &variant["url"] };
        let (name, weight) = (cell(&variant["name"]), cell(&variant["weight"]));
        writeln!(out, "{:<10}  {}: weight {weight}", "variant", plain(&name))?;
        writeln!(out, "{:<10}  leads to {}", "", cell(url))?;
    }
    Ok(())
}

fn print_quarantine(quarantine: &Value, out: &mut Out) -> io::Result<()> {
    if quarantine.is_null() {
        return Ok(());
    }
    let [reason, since, entry, appeal] =
        ["reason", "since", "entry", "appeal"].map(|name| plain(&cell(&quarantine[name])));
    writeln!(out, "{:<10}  {reason}, since {since}", "quarantine")?;
    for (name, text) in [("entry", entry), ("appeal", appeal)] {
        if !text.is_empty() {
            writeln!(out, "{name:<10}  {text}")?;
        }
    }
    Ok(())
}
