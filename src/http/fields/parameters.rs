//! Query strings, parameter by parameter.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::links::place::DOMAIN;
use crate::http::problem::{FieldError, Problem};

/// The parameters of a query string that have not been taken yet, and what was wrong.
#[derive(Debug)]
pub struct Parameters {
    left: BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl Parameters {
    /// Reads a query string. A parameter that stands twice is a mistake.
    #[must_use]
    pub fn new(query: Option<&str>) -> Self {
        let mut parameters = Self { left: BTreeMap::new(), errors: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.left.insert(name.to_string(), value.into_owned()).is_some() {
                parameters.wrong(&name, "repeated", "may be given once");
            }
        }
        parameters
    }

    /// Reads the query string of a request about one link: the domain that it may name is taken, with the link itself.
    #[must_use]
    pub fn of_link(query: Option<&str>) -> Self {
        let mut parameters = Self::new(query);
        parameters.raw(DOMAIN);
        parameters
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        let name: String = name.chars().take(64).collect();
        self.errors.push(FieldError { pointer: format!("?{name}"), code, detail: detail.into() });
    }

    /// A parameter as it stands.
    pub fn raw(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    /// A parameter that is parsed.
    pub fn optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.raw(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, "invalid", error.to_string());
                None
            }
        }
    }

    /// One of several words; the first is the default.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(given) = self.raw(name) else { return default };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == given) {
            return *value;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.wrong(name, "invalid", format!("must be one of {}", words.join(", ")));
        default
    }

    /// How many items a page may hold.
    pub fn limit(&mut self, default: usize, max: usize) -> usize {
        let Some(given) = self.raw("limit") else { return default };
        match given.parse() {
            Ok(limit) if (1..=max).contains(&limit) => limit,
            _ => {
                self.wrong("limit", "invalid", format!("must be a whole number from 1 to {max}"));
                default
            }
        }
    }

    /// Where the page before this one ended.
    pub fn cursor<T: FromStr>(&mut self) -> Option<T> {
        let cursor = self.raw("cursor")?.parse().ok();
        if cursor.is_none() {
            self.wrong("cursor", "invalid_cursor", "not a cursor of this list");
        }
        cursor
    }

    /// Ends the reading: parameters that nobody took are unknown, and any mistake is an error.
    ///
    /// # Errors
    /// 400 with all mistakes.
    pub fn finish(mut self) -> Result<(), Problem> {
        for name in std::mem::take(&mut self.left).keys() {
            self.wrong(name, "unknown_parameter", "is not a parameter of this request");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::parameters(self.errors)) }
    }
}

/// The query string of a request that takes no parameters.
#[derive(Debug, Clone, Copy)]
pub struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Parameters::new(parts.uri.query()).finish().map(|()| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_once_and_known() {
        let mut query = Parameters::new(Some("limit=0&a=1&a=2&z=%00"));
        assert_eq!(query.limit(50, 100), 50);
        assert_eq!(query.optional::<u8>("a"), Some(2));
        let problem = query.finish().unwrap_err();
        let codes: Vec<_> = problem.errors().iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(codes, [("?a", "repeated"), ("?limit", "invalid"), ("?z", "unknown_parameter")]);
    }
}
