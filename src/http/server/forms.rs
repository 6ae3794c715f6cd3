//! Forms for links that ask for a password.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;

use super::Edge;
use super::aside::answered;
use crate::app::AppState;
use crate::config::Role;
use crate::http::roles::wrong_role;
use crate::http::visit::password::{Knock, knock, open};

impl Edge {
    /// The answer to a form for the bare code of a link.
    pub(super) async fn knock(&self, peer: IpAddr, request: hyper::Request<Incoming>) -> Response {
        if !self.app.roles.has(Role::Query) {
            return wrong_role(&self.app, Role::Query).into_response();
        }
        let (request, body) = request.into_parts();
        match knock(&self.app, peer, &request).await {
            Ok(knock) => self.open(knock, request, body).await,
            Err(answer) => answer,
        }
    }

    /// A password takes a while to check, and a form to arrive: not on the threads of redirects.
    pub(super) async fn open(&self, knock: Knock, request: Parts, body: Incoming) -> Response {
        let app = AppState::clone(&self.app);
        let opened = async move { open(&app, knock, &request, Body::new(body)).await };
        answered(&self.aside, opened).await
    }
}
