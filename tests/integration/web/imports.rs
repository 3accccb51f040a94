//! The prelude next to the imports of ordinary files.

use brubeck::testing::TestClient;
use http::Request;

/// A name that the file imports takes precedence over the one of the prelude.
mod imported_names {
    use anyhow::Context;
    use axum::Router;
    use axum::extract::State;
    use brubeck::prelude::*;
    use futures_util::{FutureExt, StreamExt};
    use http::{Method, Response};
    use serde_json::{Value, json};
    use std::io::prelude::*;
    use tower::{Service, ServiceExt};
    use tracing::{Event, trace};

    #[get("^/imported$")]
    async fn imported(Query(pairs): Query<Value>) -> Result<Json<Value>, Problem> {
        trace!(%pairs, "imported");
        let mut text = String::new();
        "7".as_bytes()
            .read_to_string(&mut text)
            .context("reading")
            .map_err(|error| Problem::new(500, error.to_string()))?;
        let numbers: Vec<u8> = futures_util::stream::iter([1, 2]).collect().boxed().await;
        Ok(Json(
            json!({"text": text, "numbers": numbers, "method": Method::GET.as_str()}),
        ))
    }

    async fn number(State(number): State<u32>) -> String {
        number.to_string()
    }

    /// Compiles only if these names are those of the other crates.
    fn _other_crates(event: &Event<'_>, response: Response<()>) -> (bool, http::StatusCode) {
        (event.is_root(), response.status())
    }

    pub async fn app() -> App<()> {
        let mut router = Router::new()
            .route("/number", axum::routing::get(number))
            .with_state(7);
        Service::<super::Request<axum::body::Body>>::call(&mut router, super::Request::default())
            .await
            .expect("a router cannot fail");
        let mounted = router.map_request(|request: super::Request<Body>| request.map(axum::body::Body::new));
        App::new(routes![imported], ()).mount("/axum", mounted)
    }
}

/// Globs of other crates leave the prelude usable, and the prelude leaves their traits and macros in scope.
mod globs {
    use anyhow::*;
    use axum::extract::*;
    use brubeck::prelude::*;
    // These names are in other globs too.
    use brubeck::{Extension, Query, State};
    use futures_util::*;
    use http::Request;
    use http::*;
    use serde::*;
    use serde_json::*;
    use std::io::prelude::*;
    use std::result::Result;
    use tower::*;
    use tracing::*;

    #[derive(Deserialize)]
    struct Page {
        page: u32,
    }

    #[post("^/globs$")]
    async fn globs(
        Query(page): Query<Page>,
        Extension(size): Extension<u32>,
        State(start): State<u32>,
    ) -> Result<String, Problem> {
        trace!(page.page, "globs");
        let mut text = Vec::new();
        write!(text, "page ")
            .context("writing")
            .map_err(|error| Problem::new(500, error.to_string()))?;
        let number = future::ready(start + page.page * size)
            .map(|number| json!(number))
            .await;
        Result::Ok(format!("{}{number}", String::from_utf8_lossy(&text)))
    }

    pub async fn respond() -> String {
        let app =
            App::new(routes![globs], 1).layer(util::MapRequestLayer::new(|mut request: Request<Body>| {
                request.extensions_mut().insert(10_u32);
                request
            }));
        let request = Request::post("/globs?page=2")
            .body(Body::empty())
            .expect("a request");
        let response = app
            .into_service()
            .expect("an application")
            .oneshot(request)
            .await
            .expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        let _of_axum = DefaultBodyLimit::disable();
        let body = response.into_body().collect(100).await.expect("a body");
        String::from_utf8_lossy(&body).into_owned()
    }
}

#[tokio::test]
async fn imported_names_take_precedence_over_the_prelude() {
    let client = TestClient::new(imported_names::app().await);
    client
        .get("/imported?a=b")
        .await
        .assert_text(r#"{"method":"GET","numbers":[1,2],"text":"7"}"#);
    client.get("/axum/number").await.assert_text("7");
}

#[tokio::test]
async fn globs_of_other_crates_do_not_collide_with_the_prelude() {
    assert_eq!(globs::respond().await, "page 21");
}
