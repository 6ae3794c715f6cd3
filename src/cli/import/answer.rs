//! What an answer of another program must have. An answer without its list is not the end of the list: it is a page of
//! a proxy, an error that is told with status 200, or an API of another version.

use serde_json::Value;

use crate::cli::error::CliError;

/// The list at a place (a JSON Pointer).
pub(super) fn list<'a>(answer: &'a Value, pointer: &str) -> Result<Vec<&'a Value>, CliError> {
    let found = answer.pointer(pointer).and_then(Value::as_array);
    found.map(|all| all.iter().collect()).ok_or_else(|| missing("list", pointer))
}

/// The number at a place (a JSON Pointer).
pub(super) fn number(answer: &Value, pointer: &str) -> Result<u64, CliError> {
    let found = answer.pointer(pointer).and_then(Value::as_u64);
    found.ok_or_else(|| missing("number", pointer))
}

fn missing(what: &str, pointer: &str) -> CliError {
    let place = pointer.trim_start_matches('/').replace('/', ".");
    let named =
        if place.is_empty() { "is no list".to_owned() } else { format!("has no {what} {place}") };
    CliError::Failed(format!(
        "an answer of the other side {named}; check the address, and that its API is of the version that is understood here"
    ))
}
