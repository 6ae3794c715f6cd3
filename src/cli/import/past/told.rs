//! What became of clicks, in words.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Past;
use crate::cli::table;

/// Codes that no link has and are told by name.
const CODES_TOLD: usize = 10;

impl Past {
    pub(in crate::cli::import) fn summary(&self) -> Value {
        json!({
            "added": self.added, "known": self.known, "bad": self.bad, "withoutLink": self.without_link,
            "foreseen": self.foreseen, "onlyCounted": self.only_counted, "refused": self.refused,
        })
    }

    pub(in crate::cli::import) fn told(&self, is_dry: bool) -> String {
        let Self { added, known, bad, foreseen, only_counted, refused, .. } = self;
        let mut told = if is_dry {
            format!("clicks: about {foreseen} would come in")
        } else {
            format!("clicks: {added} added, {known} already known, {bad} left out")
        };
        if !self.without_link.is_empty() {
            let codes: Vec<&str> =
                self.without_link.keys().take(CODES_TOLD).map(|code| &**code).collect();
            let (clicks, count) =
                (self.without_link.values().sum::<u64>(), self.without_link.len());
            let codes = table::one_line(&codes.join(", "));
            let _ = write!(
                told,
                ", {clicks} of {count} codes that no link has ({codes}{})",
                if count > CODES_TOLD { ", …" } else { "" }
            );
        }
        if *only_counted > 0 {
            let _ = write!(told, "; {only_counted} that the source only counts can't come in");
        }
        if let Some(reason) = refused {
            let _ = write!(told, "; the source gives none: {}", table::one_line(reason));
        }
        told
    }

    /// Why not all clicks that were wanted are here.
    pub(in crate::cli::import) fn lost(&self) -> Option<String> {
        if self.refused.is_some() {
            return Some("the clicks did not come in".to_owned());
        }
        let lost = self.bad + self.without_link.values().sum::<u64>();
        (lost > 0).then(|| format!("{lost} clicks were left out"))
    }
}
