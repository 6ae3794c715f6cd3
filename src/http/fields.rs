//! Reads a JSON object or a query string field by field and collects *every* mistake, where
//! serde would stop at the first.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::problem::{ERRORS_MAX, FieldError};

mod parameters;

pub use parameters::{NoParameters, Parameters};

/// The fields of one object that have not been taken yet, and what was wrong with the others.
#[derive(Debug)]
pub struct Fields {
    prefix: String,
    left: Map<String, Value>,
    errors: Vec<FieldError>,
}

/// What stands in a field of a merge patch (RFC 7396).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    Keep,
    /// `null`: is cleared.
    Clear,
    /// Gets this value.
    Set(T),
}

impl<T> Patch<T> {
    /// As the rules have it: nothing stays as it is, `Some(None)` is cleared.
    #[must_use]
    pub fn nested(self) -> Option<Option<T>> {
        match self {
            Patch::Keep => None,
            Patch::Clear => Some(None),
            Patch::Set(value) => Some(Some(value)),
        }
    }
}

impl Fields {
    /// The fields of an object; `prefix` is the object's own JSON Pointer (empty for the body).
    #[must_use]
    pub fn new(prefix: String, object: Map<String, Value>) -> Self {
        Self { prefix, left: object, errors: Vec::new() }
    }

    /// What has not been taken yet, to be read in another way; nothing is noted here of what is wrong with it.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::new(self.prefix.clone(), self.left.clone())
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        // What is not told is not kept: a body may be wrong a million times.
        if self.errors.len() == ERRORS_MAX {
            return;
        }
        let pointer = format!("{}/{field}", self.prefix);
        self.errors.push(FieldError { pointer, code, detail: detail.into() });
    }

    /// A field as it stands; `None`: not there.
    pub fn raw(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field)
    }

    /// A text that is parsed, or `null`, or nothing.
    pub fn patch<T>(&mut self, field: &str) -> Patch<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(field, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    /// A number that is parsed, or `null`, or nothing.
    pub fn patch_number<T>(&mut self, field: &str) -> Patch<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(field, "a number", |value| match value {
            Value::Number(number) => Ok(number.to_string()),
            other => Err(other),
        })
    }

    /// `text`: how a value of the kind that is wanted is spelled; others are given back.
    fn parsed<T>(
        &mut self,
        field: &str,
        wanted: &str,
        text: impl FnOnce(Value) -> Result<String, Value>,
    ) -> Patch<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = match self.raw(field) {
            None => return Patch::Keep,
            Some(Value::Null) => return Patch::Clear,
            Some(value) => value,
        };
        match text(value).map(|text| text.parse()) {
            Ok(Ok(value)) => return Patch::Set(value),
            Ok(Err(error)) => self.wrong(field, "invalid", error.to_string()),
            Err(other) => {
                self.wrong(field, "type", format!("must be {wanted}, not {}", kind(&other)));
            }
        }
        Patch::Keep
    }

    /// An optional text that is parsed; `null` is the same as nothing.
    pub fn optional<T>(&mut self, field: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.patch(field) {
            Patch::Set(value) => Some(value),
            Patch::Keep | Patch::Clear => None,
        }
    }

    /// A text that must be there.
    pub fn required<T>(&mut self, field: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        if self.left.get(field).is_none_or(Value::is_null) {
            self.left.remove(field);
            self.wrong(field, "required", "must be given");
            return None;
        }
        self.optional(field)
    }

    /// `true` or `false`; `false` when it is not there.
    pub fn flag(&mut self, field: &str) -> bool {
        self.patch_flag(field).unwrap_or_default()
    }

    /// `true` or `false`, or nothing; `null` is `false`.
    pub fn patch_flag(&mut self, field: &str) -> Option<bool> {
        match self.raw(field)? {
            Value::Null => Some(false),
            Value::Bool(flag) => Some(flag),
            other => {
                self.wrong(field, "type", format!("must be true or false, not {}", kind(&other)));
                None
            }
        }
    }

    /// An object, to be read field by field and given back to [`Fields::absorb`].
    pub fn object(&mut self, field: &str) -> Patch<Fields> {
        match self.raw(field) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            Some(Value::Object(object)) => {
                Patch::Set(Self::new(format!("{}/{field}", self.prefix), object))
            }
            Some(other) => {
                self.wrong(field, "type", format!("must be an object, not {}", kind(&other)));
                Patch::Keep
            }
        }
    }

    /// Notes what was wrong with an object in this one.
    pub fn absorb(&mut self, object: Fields) {
        let errors = object.finish().err().unwrap_or_default();
        let room = ERRORS_MAX.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }

    /// A list of texts, each parsed; `null` is an empty list.
    pub fn list<T>(&mut self, field: &str) -> Option<Vec<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let items = match self.raw(field)? {
            Value::Array(items) => items,
            Value::Null => return Some(Vec::new()),
            other => {
                self.wrong(field, "type", format!("must be a list, not {}", kind(&other)));
                return None;
            }
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item.as_str().map(str::parse::<T>) {
                Some(Ok(value)) => values.push(value),
                Some(Err(error)) => {
                    self.wrong(&format!("{field}/{index}"), "invalid", error.to_string());
                }
                None => self.wrong(&format!("{field}/{index}"), "type", "must be a string"),
            }
        }
        Some(values)
    }

    /// A list with something in it.
    pub fn required_list<T>(&mut self, field: &str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let errors = self.errors.len();
        let values = self.list(field).unwrap_or_default();
        if values.is_empty() && self.errors.len() == errors {
            self.wrong(field, "required", "must name one at least");
        }
        values
    }

    /// Ends the reading: fields that nobody took are unknown, and any mistake is an error.
    ///
    /// # Errors
    /// All mistakes that were noted.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        for field in std::mem::take(&mut self.left).keys() {
            self.wrong(&escape(field), "unknown_field", "is not a field of this request");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// A text of 1 to `CHARS_MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const CHARS_MAX: usize>(pub String);

impl<const CHARS_MAX: usize> FromStr for Text<CHARS_MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().nth(CHARS_MAX).is_some() {
            return Err(format!("must have 1 to {CHARS_MAX} characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A reference token of a JSON Pointer (RFC 6901), bounded so that an answer stays small.
fn escape(field: &str) -> String {
    field.chars().take(64).collect::<String>().replace('~', "~0").replace('/', "~1")
}

/// What a JSON value is, in words.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("an object") };
        Fields::new(String::new(), object)
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut body = fields(json!({ "port": "x", "flag": 1, "names": ["a", 2], "b/c": 0 }));
        assert_eq!(body.optional::<u16>("port"), None);
        assert!(!body.flag("flag"));
        assert_eq!(body.list::<String>("names"), Some(vec!["a".to_owned()]));
        assert_eq!(body.required::<String>("url"), None);
        let errors = body.finish().unwrap_err();
        let codes: Vec<_> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(
            codes,
            [
                ("/port", "invalid"),
                ("/flag", "type"),
                ("/names/1", "type"),
                ("/url", "required"),
                ("/b~1c", "unknown_field"),
            ]
        );
    }

    #[test]
    fn a_number_is_a_number() {
        let mut body = fields(json!({ "a": 7, "b": null, "c": "7", "d": 7.5, "e": -1 }));
        let taken = ["a", "b", "c", "d", "e", "f"].map(|field| body.patch_number::<u8>(field));
        let keep = || Patch::Keep;
        assert_eq!(taken, [Patch::Set(7), Patch::Clear, keep(), keep(), keep(), keep()]);
        let errors = body.finish().unwrap_err();
        let codes: Vec<_> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(codes, [("/c", "type"), ("/d", "invalid"), ("/e", "invalid")]);
    }

    #[test]
    fn what_is_wrong_in_an_object_is_told_at_its_place() {
        let mut body = fields(json!({ "in": { "port": "x", "more": 1 }, "other": 1 }));
        let Patch::Set(mut object) = body.object("in") else { panic!("an object") };
        assert_eq!(object.optional::<u16>("port"), None);
        body.absorb(object);
        assert_eq!(body.object("other").nested().map(|_| ()), None);
        let errors = body.finish().unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(pointers, ["/in/port", "/in/more", "/other"]);
    }

    #[test]
    fn a_patch_tells_null_from_nothing() {
        let mut body = fields(json!({ "a": null, "b": "1" }));
        assert_eq!(body.patch::<u8>("a"), Patch::Clear);
        assert_eq!(body.patch::<u8>("b"), Patch::Set(1));
        assert_eq!(body.patch::<u8>("c"), Patch::Keep);
        let mut body = fields(json!({ "a": null, "b": true }));
        let flags = ["a", "b", "c"].map(|field| body.patch_flag(field));
        assert_eq!(flags, [Some(false), Some(true), None]);
        assert!(body.finish().is_ok());
    }
}
