//! What the contract (`/openapi.json`) says of every operation alike: that it needs a key, and
//! the problems that any request may be answered with. What is an operation's own stands at its
//! handler, and what is an extractor's own at the extractor.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, SecurityRequirement,
};

use super::problem::PROBLEM_JSON;

/// A status and when it is answered.
type Answer = (&'static str, &'static str);

/// What any request may be answered with.
const ALWAYS: [Answer; 7] = [
    ("400", "the request can't be read, or has a parameter or header that is wrong"),
    ("401", "there is no API key, or it is unknown, revoked or expired"),
    ("403", "the API key lacks the scope"),
    ("421", "this copy does not do such work"),
    (
        "429",
        "a limit is reached; Retry-After says when to try again, violated-policies which it is",
    ),
    ("500", "a mistake of the server"),
    ("503", "something that the server depends on is away; Retry-After says when to try again"),
];

/// And where the path names something.
const WITH_A_NAME: [Answer; 1] = [("404", "there is no such thing, or it is not yours")];

/// And where there is a body.
const WITH_A_BODY: [Answer; 4] = [
    ("408", "the body did not arrive in time"),
    ("413", "the body is too large"),
    ("415", "the body is not said to be JSON"),
    ("422", "some fields are wrong, or the idempotency key was used for another request"),
];

/// Adds to every operation of the API what holds for all.
#[must_use]
pub(super) fn complete(mut contract: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = contract.components.get_or_insert_default();
    components.add_security_scheme("apiKey", SecurityScheme::Http(bearer));
    for (path, item) in &mut contract.paths.paths {
        if !path.starts_with("/api/") {
            continue;
        }
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.security =
                Some(vec![SecurityRequirement::new::<&str, [&str; 0], &str>("apiKey", [])]);
            add(operation, &ALWAYS);
            if path.contains('{') {
                add(operation, &WITH_A_NAME);
            }
            if operation.request_body.is_some() {
                add(operation, &WITH_A_BODY);
            }
        }
    }
    contract
}

/// What an operation says itself is more to the point.
fn add(operation: &mut Operation, answers: &[Answer]) {
    for (status, problem) in problems(answers) {
        operation.responses.responses.entry(status).or_insert(problem);
    }
}

/// Problems, as an extractor lists those that it answers with.
#[must_use]
pub(super) fn problems(answers: &[Answer]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |(status, description): &Answer| {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let answer = ResponseBuilder::new().description(*description);
        ((*status).to_owned(), answer.content(PROBLEM_JSON, content).build().into())
    };
    answers.iter().map(problem).collect()
}

/// A header that a request may have.
#[must_use]
pub(super) fn header(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
