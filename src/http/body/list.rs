//! Bodies with one long list in them. What is short on the wire may be long in memory: a list of
//! zeros takes thirty times its length as a tree. So the list is cut into the texts of its items,
//! no more of them than are allowed, and each is parsed when it is looked at, one after the other.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Map, Value};

use super::{BODY_BYTES_MAX, invalid_json, too_large};
use crate::http::fields::{Fields, kind};
use crate::http::problem::{FieldError, Problem};

/// The list of a body, and its other fields.
#[derive(Debug)]
pub struct List<'a> {
    /// The texts of the items; none where a mistake is noted in `fields`.
    pub items: Vec<&'a RawValue>,
    /// Everything but the list.
    pub fields: Fields,
}

/// A list that a request may bring.
#[derive(Debug, Clone, Copy)]
pub struct ListField {
    /// The field it stands in; also what its items are called.
    pub name: &'static str,
    /// How many items it may have.
    pub items_max: usize,
}

impl ListField {
    /// Finds the list in a body.
    ///
    /// # Errors
    /// 400 when the body is no JSON object, 413 when its other fields are too large.
    pub fn of(self, body: &[u8]) -> Result<List<'_>, Problem> {
        let mut json = Deserializer::from_slice(body);
        let found = json.deserialize_map(Object { list: self.name });
        let found = found.and_then(|found| json.end().map(|()| found));
        let Found { list, others, others_bytes } = found.map_err(|error| invalid_json(&error))?;
        if others_bytes > BODY_BYTES_MAX {
            return Err(too_large());
        }
        let mut fields = Fields::new(String::new(), others);
        let items = list.and_then(|list| self.items(list)).unwrap_or_default();
        if items.is_empty() {
            let Self { name, items_max } = self;
            fields.wrong(name, "invalid", format!("must be a list of 1 to {items_max} {name}"));
        }
        Ok(List { items, fields })
    }

    /// `None`: it is no list, or has too many items.
    fn items(self, list: &RawValue) -> Option<Vec<&RawValue>> {
        let mut json = Deserializer::from_str(list.get());
        json.deserialize_seq(Items { items_max: self.items_max }).ok()
    }
}

/// The object that an item is.
///
/// # Errors
/// What a request with this body alone would be answered with; an item that is no object is named
/// by the empty pointer.
pub fn object_of(item: &RawValue) -> Result<Map<String, Value>, Problem> {
    if item.get().len() > BODY_BYTES_MAX {
        return Err(too_large());
    }
    match serde_json::from_str(item.get()).map_err(|error| invalid_json(&error))? {
        Value::Object(object) => Ok(object),
        other => {
            let detail = format!("must be an object, not {}", kind(&other));
            let error = FieldError { pointer: String::new(), code: "type", detail };
            Err(Problem::validation(vec![error]))
        }
    }
}

/// What is in an object.
#[derive(Default)]
struct Found<'a> {
    list: Option<&'a RawValue>,
    others: Map<String, Value>,
    /// How long the texts of all others are; those beyond the bound are not in `others`.
    others_bytes: usize,
}

/// Reads an object; the list is left as it stands. Of two fields with one name the last counts.
struct Object {
    list: &'static str,
}

impl<'de> Visitor<'de> for Object {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<String>()? {
            let value: &RawValue = map.next_value()?;
            if name == self.list {
                found.list = Some(value);
                continue;
            }
            found.others_bytes += name.len() + value.get().len();
            if found.others_bytes <= BODY_BYTES_MAX {
                let value = serde_json::from_str(value.get()).map_err(A::Error::custom)?;
                found.others.insert(name, value);
            }
        }
        Ok(found)
    }
}

/// Reads the items of a list, and stops where there are too many.
struct Items {
    items_max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {} items", self.items_max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<&'de RawValue>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == self.items_max {
                return Err(A::Error::invalid_length(self.items_max + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THINGS: ListField = ListField { name: "things", items_max: 3 };

    fn items(body: &str) -> Result<Vec<&str>, &'static str> {
        let list = THINGS.of(body.as_bytes()).map_err(|problem| problem.code())?;
        list.fields.finish().map_err(|errors| errors[0].code)?;
        Ok(list.items.into_iter().map(RawValue::get).collect())
    }

    #[test]
    fn a_list_is_cut_into_its_items() {
        assert_eq!(
            items(r#" {"things" : [ 1, {"a":[ 2 ]},"x"] } "#),
            Ok(vec!["1", "{\"a\":[ 2 ]}", "\"x\""])
        );
        assert_eq!(items(r#"{"things":[1,2],"things":[3]}"#), Ok(vec!["3"]));
        for none in [
            "{}",
            r#"{"things":[]}"#,
            r#"{"things":{}}"#,
            r#"{"things":null}"#,
            r#"{"things":[1,2,3,4]}"#,
        ] {
            assert_eq!(items(none), Err("invalid"), "{none}");
        }
        assert_eq!(items(r#"{"things":[1],"more":1}"#), Err("unknown_field"));
    }

    #[test]
    fn what_is_no_object_is_no_body() {
        for body in [
            "",
            "[]",
            "null",
            "{",
            "{}{}",
            r#"{"things":[1,]}"#,
            r#"{"things":[01]}"#,
            "{\"things\":[\"\u{1}\"]}",
        ] {
            assert_eq!(items(body), Err("invalid_json"), "{body}");
        }
        let deep = format!(r#"{{"things":[{}{}]}}"#, "[".repeat(200_000), "]".repeat(200_000));
        let list = THINGS.of(deep.as_bytes()).unwrap();
        assert_eq!(object_of(list.items[0]).unwrap_err().code(), "too_large");
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let deep = RawValue::from_string(deep).unwrap();
        assert_eq!(object_of(&deep).unwrap_err().code(), "invalid_json");
    }

    #[test]
    fn other_fields_are_bounded_together() {
        let numbers = "0,".repeat(BODY_BYTES_MAX / 2);
        let many: Vec<String> = (0..20_000).map(|n| format!("\"f{n}\":0,")).collect();
        let many = many.concat();
        for body in [
            format!(r#"{{"things":[1],"more":[{numbers}0]}}"#),
            format!(r#"{{{many}"things":[1]}}"#),
        ] {
            assert_eq!(items(&body), Err("too_large"));
        }
    }
}
