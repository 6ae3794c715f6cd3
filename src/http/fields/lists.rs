//! Lists in a request: of texts that have to be some, and of objects.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

use super::{Fields, escape, kind};

impl Fields {
    /// A list of 1 to `max` texts, each parsed; `null` is the same as nothing.
    pub fn some<T>(&mut self, field: &str, max: usize) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        if self.left.get(field).is_some_and(Value::is_null) {
            self.left.remove(field);
        }
        let items = self.left.get(field).and_then(Value::as_array).map(Vec::len);
        match items {
            Some(0) => self.wrong(field, "required", "must name one at least"),
            Some(items) if items > max => {
                self.wrong(field, "too_many", format!("must have {max} values at most"));
            }
            _ => return self.list(field).unwrap_or_default(),
        }
        self.left.remove(field);
        Vec::new()
    }

    /// A list of objects, each read field by field; `null` is an empty list. `None`: it is not there, or is none.
    pub fn objects<T>(
        &mut self,
        field: &str,
        max: usize,
        mut read: impl FnMut(&mut Fields) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = match self.raw(field)? {
            Value::Array(items) => items,
            Value::Null => return Some(Vec::new()),
            other => {
                self.wrong(field, "type", format!("must be a list, not {}", kind(&other)));
                return None;
            }
        };
        if items.len() > max {
            self.wrong(field, "too_many", format!("must have {max} at most"));
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{field}/{index}");
            let Value::Object(object) = item else {
                self.wrong(&place, "type", format!("must be an object, not {}", kind(&item)));
                continue;
            };
            let mut object = Self::new(format!("{}/{place}", self.prefix), object);
            values.extend(read(&mut object));
            self.absorb(object);
        }
        Some(values)
    }

    /// Whether a field is there, and `null`.
    #[must_use]
    pub fn is_null(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(Value::is_null)
    }

    /// The fields that have not been taken yet.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.left.keys().cloned().collect()
    }

    /// Whether nothing wrong was noted yet.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.errors.is_empty()
    }

    /// How much that is wrong was noted so far.
    #[must_use]
    pub fn mistakes(&self) -> usize {
        self.errors.len()
    }

    /// Notes a mistake in a field whose name somebody else chose.
    pub fn wrong_named(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.wrong(&escape(name), code, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_mistake_in_a_list_of_objects_is_told_at_its_place() {
        let Value::Object(body) = json!({
            "a": [{ "n": ["1", "x"] }, 7, { "n": [], "m": 1 }, { "n": null }, { "n": ["1", "2", "3"] }],
            "b": [{}, {}, {}], "c": {}, "d": null,
        }) else {
            panic!("an object")
        };
        let mut body = Fields::new(String::new(), body);
        let read = body.objects("a", 5, |object| Some(object.some::<u8>("n", 2)));
        assert_eq!(read, Some(vec![vec![1], vec![], vec![], vec![]]));
        assert_eq!(body.objects("b", 2, |_| Some(())), None);
        assert_eq!(body.objects("c", 2, |_| Some(())), None);
        assert_eq!(body.objects("d", 2, |_| Some(())), Some(vec![]));
        assert_eq!(body.objects("e", 2, |_| Some(())), None);
        let errors = body.finish().unwrap_err();
        let codes: Vec<_> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(
            codes,
            [
                ("/a/0/n/1", "invalid"),
                ("/a/1", "type"),
                ("/a/2/n", "required"),
                ("/a/2/m", "unknown_field"),
                ("/a/4/n", "too_many"),
                ("/b", "too_many"),
                ("/c", "type"),
            ]
        );
    }
}
