//! How events written by earlier versions are read today: one pure function per step, applied
//! when an event is read. What is on the log is not rewritten for it.

use serde_json::Value;

use crate::catalogue::{DecodeError, parse};

/// Lifts data of an old event type by one version: the next type's name and its data.
/// `None`: not a type that was ever written by a released version.
///
/// # Errors
/// When the data does not fit the old type.
pub(crate) fn upcast(
    event_type: &str,
    data: &str,
) -> Result<Option<(&'static str, String)>, DecodeError> {
    match event_type {
        "hoplog.link.created.v1" => {
            let v2 = link_created_v1_to_v2(parse(event_type, data)?);
            Ok(Some(("hoplog.link.created.v2", v2.to_string())))
        }
        _ => Ok(None),
    }
}

/// v1 knew two kinds of redirect (`permanent: true|false`); v2 names the status.
fn link_created_v1_to_v2(mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        let permanent = fields.remove("permanent").is_some_and(|value| value == Value::Bool(true));
        fields.insert("redirect".to_owned(), Value::from(if permanent { 301 } else { 302 }));
    }
    data
}
