//! `If-Match`: do it only if the link still has one of these versions (RFC 9110, section 13.1.1).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hoplog_events::position::Version;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::{etag, invalid};
use crate::http::contract;
use crate::http::problem::Problem;

/// The versions of which the link must have one; `None`: any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(pub Option<Vec<Version>>);

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![contract::header("If-Match", "only if the link still has one of these ETags")]
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let wrong = "If-Match must be *, or entity tags such as \"3\" with commas between them";
        IfMatch::of(&parts.headers).ok_or_else(|| invalid(wrong))
    }
}

impl IfMatch {
    /// `None`: this is no `If-Match`. Several lines are one list.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::IF_MATCH).iter().map(|line| line.to_str());
        let lines = lines.collect::<Result<Vec<&str>, _>>().ok()?;
        if lines.is_empty() {
            return Some(Self(None));
        }
        let list = lines.join(",");
        if list.trim_matches(is_space) == "*" {
            return Some(Self(None));
        }
        let mut left = list.trim_start_matches(|c| is_space(c) || c == ',');
        let mut versions = Vec::new();
        loop {
            let is_weak = left.starts_with("W/");
            let (tag, behind) =
                left.strip_prefix("W/").unwrap_or(left).strip_prefix('"')?.split_once('"')?;
            if !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            // A weak tag says that two contents mean the same; that is not enough to write over one.
            versions.extend(version_of(tag).filter(|_| !is_weak));
            let behind = behind.trim_start_matches(is_space);
            // Between two commas there may be nothing.
            left = behind.trim_start_matches(|c| is_space(c) || c == ',');
            if left.is_empty() {
                return Some(Self(Some(versions)));
            }
            if left.len() == behind.len() {
                return None;
            }
        }
    }
}

/// The version whose tag this is, letter by letter; a tag of no version is never a link's.
fn version_of(tag: &str) -> Option<Version> {
    let version = tag.parse().ok().map(Version)?;
    (etag(version).as_bytes() == format!("\"{tag}\"").as_bytes()).then_some(version)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn if_match(lines: &[&str]) -> Option<IfMatch> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        IfMatch::of(&headers)
    }

    fn one_of(versions: &[u64]) -> IfMatch {
        IfMatch(Some(versions.iter().copied().map(Version).collect()))
    }

    #[test]
    fn tags_match_letter_by_letter() {
        for (tags, expected) in [
            (r#""3""#, &[3][..]),
            (r#"  "3"	"#, &[3]),
            (r#""3","4" , "5""#, &[3, 4, 5]),
            (r#" , "3",, "4","#, &[3, 4]),
            (r#""a,b", "4""#, &[4]),
            (r#"W/"3""#, &[]),
            (r#"W/"3", "4""#, &[4]),
            (r#""+3""#, &[]),
            (r#""03""#, &[]),
            (r#""""#, &[]),
            (r#""-1""#, &[]),
            (r#""*""#, &[]),
            (r#""abc""#, &[]),
            (r#""99999999999999999999999""#, &[]),
        ] {
            assert_eq!(if_match(&[tags]), Some(one_of(expected)), "{tags}");
        }
        assert_eq!(if_match(&[r#""3""#, r#""4""#]), Some(one_of(&[3, 4])));
        assert_eq!(if_match(&[etag(Version(3)).to_str().unwrap()]), Some(one_of(&[3])));
    }

    #[test]
    fn any_version_will_do_without_the_header_or_with_a_star() {
        for lines in [&[][..], &["*"], &[" * "]] {
            assert_eq!(if_match(lines), Some(IfMatch(None)), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for tags in [
            "",
            ",",
            "3",
            r#"w/"3""#,
            r#""3"#,
            r#"3""#,
            r#""3" "4""#,
            r#"*, "3""#,
            r#""a b""#,
            r#"W/ "3""#,
        ] {
            assert_eq!(if_match(&[tags]), None, "{tags}");
        }
        assert_eq!(if_match(&["*", r#""3""#]), None);
    }
}
