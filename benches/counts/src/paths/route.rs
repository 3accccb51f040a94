//! Finding the route of a request, and extracting the arguments of its handler.

use super::measure;
use crate::{Result, table};
use brubeck::__private::RouteMatcher;
use brubeck::prelude::*;
use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tower_service::Service as _;

pub(super) fn literal(count: usize) -> Result {
    let matching = RouteMatcher::new(table::routes(count, false))?;
    let path = table::path(count / 2, false);
    measure(|| path.clone(), |path| matching.find(&path));
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Note {
    id: u64,
    name: String,
    last: bool,
}

#[get(r"^/user/(?<id>\d+)/(?<tab>[a-z]+)$")]
async fn user(id: u64, tab: String) -> String {
    drop(tab);
    id.to_string()
}

#[post("^/note$")]
async fn note(note: Json<Note>) -> Json<Note> {
    note
}

const ROUTES: Routes<()> = routes![user, note];

/// Sends requests through a whole application. Most of the instructions are those of extractors.
fn application(request: impl Fn() -> Result<http::Request<Body>>) -> Result {
    request()?;
    let mut service = App::new(ROUTES, ()).into_service()?;
    measure(
        || request().ok(),
        |request| request.and_then(|request| service.call(request).now_or_never()),
    );
    Ok(())
}

pub(super) fn captures() -> Result {
    application(|| Ok(http::Request::get("/user/7/posts").body(Body::empty())?))
}

pub(super) fn json() -> Result {
    let body = Bytes::from_static(br#"{"id":7,"name":"a name of some length","last":true}"#);
    application(|| {
        let request = http::Request::post("/note").header("content-type", "application/json");
        Ok(request.body(Body::from(body.clone()))?)
    })
}
