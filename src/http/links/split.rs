//! Splits, as clients send them.

use hoplog_events::link::{Split, VARIANTS_MAX, Variant, Weight};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::fields::{Fields, Patch};

/// The field of the split.
const SPLIT: &str = "split";

/// One variant of a split, for the contract.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariantBody {
    /// What it is told apart by, in clicks and statistics. Whoever renames a variant shares its visitors anew.
    #[schema(example = "green button")]
    name: String,
    /// Where it leads: looked at like the link's own `url`; without it there.
    #[schema(example = "https://example.com/green")]
    url: Option<String>,
    /// Its part of the visitors, among the sum of all weights; 0: none of them.
    #[schema(maximum = 10_000, example = 50)]
    weight: u16,
}

/// Takes the split; `null`: none. `None`: it is not there, or something is wrong with it.
pub(super) fn split(fields: &mut Fields) -> Option<Split> {
    let mistakes = fields.mistakes();
    let variants = fields.objects(SPLIT, VARIANTS_MAX, variant)?;
    if fields.mistakes() > mistakes {
        // Of those that are left nothing can be said: some are missing.
        return None;
    }
    let split = Split::try_from(variants);
    split.map_err(|error| fields.wrong(SPLIT, "invalid", error.to_string())).ok()
}

fn variant(variant: &mut Fields) -> Option<Variant> {
    // All of them are looked at, so that all that is wrong is told.
    let (name, url, weight) = (variant.required("name"), variant.optional("url"), weight(variant));
    Some(Variant { name: name?, url, weight: weight? })
}

fn weight(variant: &mut Fields) -> Option<Weight> {
    let mistakes = variant.mistakes();
    if let Patch::Set(weight) = variant.patch_number("weight") {
        return Some(weight);
    }
    if variant.mistakes() == mistakes {
        variant.wrong("weight", "required", "must be given");
    }
    None
}
