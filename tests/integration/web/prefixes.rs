//! Tables below a prefix, and layers around tables.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{AppService, Mongrel2Handler};
use http::{HeaderValue, Request, Response, StatusCode};
use tower::layer::layer_fn;
use tower::util::MapRequestLayer;
use tower::{ServiceExt, service_fn};

mod admin {
    use brubeck::prelude::*;

    #[get("/")]
    pub async fn index() -> &'static str {
        "admin"
    }

    #[get("/user/{id}")]
    pub async fn user(id: u32) -> String {
        format!("user {id}")
    }

    #[post("/user/{id}")]
    pub async fn rename(id: u32, name: Text) -> String {
        format!("{id} is {}", name.0)
    }

    #[get(r"^/log/(?<year>\d{4})(?:/(?<rest>.*))?$")]
    pub async fn log(year: u16, rest: Option<String>) -> String {
        format!("{year} {rest:?}")
    }

    pub const ROUTES: Routes<()> = routes![index, user, rename, log];
}

mod files {
    use brubeck::prelude::*;

    #[get("^/(?<path>.*)$")]
    pub async fn file(path: String, message: Message) -> String {
        format!("{path:?} {}", message.path())
    }

    pub const ROUTES: Routes<()> = routes![file];
}

mod large {
    use brubeck::prelude::*;

    /// Too large for an automaton.
    #[get(r"^/(?<x>[a-z]{3}(?:a|b){0,9000})$")]
    pub async fn pattern(x: String) -> String {
        x
    }

    pub const ROUTES: Routes<()> = routes![pattern];
}

#[get("/")]
async fn home() -> &'static str {
    "home"
}

#[get("^/admin")]
async fn other() -> &'static str {
    "other"
}

const V1: Routes<()> = routes!["/admin" => ..admin::ROUTES, "/files" => ..files::ROUTES];
const ROUTES: Routes<()> = routes![
    home,
    "/admin" => ..admin::ROUTES,
    "/v1 é" => ..V1,
    "/large" => ..large::ROUTES,
    other,
];

#[tokio::test]
async fn table_below_a_prefix_matches_the_rest_of_the_path() {
    let client = TestClient::new(App::new(ROUTES, ()));
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/admin", 200, "admin"),
        ("/admin/", 200, "admin"),
        ("/%61dmin/user/7", 200, "user 7"),
        ("/administrator", 200, "other"),
        ("/admin/unknown", 200, "other"),
        ("/admin/user/x", 404, ""),
        ("/admin/log/2026", 200, "2026 None"),
        ("/admin/log/2026/a%2Fb", 200, "2026 Some(\"a/b\")"),
        ("/v1%20%C3%A9/admin", 200, "admin"),
        ("/v1%20%C3%A9/admin/user/8", 200, "user 8"),
        ("/v1%20%C3%A9", 404, ""),
        ("/v1%20%C3%A9/files", 200, "\"\" /v1 é/files/"),
        ("/v1%20%C3%A9/files/", 200, "\"\" /v1 é/files/"),
        ("/v1%20%C3%A9/files/x/%C3%A9", 200, "\"x/é\" /v1 é/files/x/é"),
        ("/large/xyzab", 200, "xyzab"),
        ("/large", 404, ""),
        ("/largexyz", 404, ""),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        if status == 200 {
            assert_eq!(response.text(), text, "{path}");
        }
    }
    client.head("/admin/user/7").await.assert_status(200);
    client
        .post("/admin/user/7")
        .body("Eve")
        .await
        .assert_text("7 is Eve");
    let refused = client.delete("/admin/user/7").await;
    refused.assert_status(405);
    assert_eq!(refused.headers()["allow"], "GET, POST, HEAD, OPTIONS");
    ROUTES.check().unwrap();
}

#[test]
fn routes_below_a_prefix_are_listed_with_it() {
    let listed: Vec<_> = ROUTES.specs().map(|spec| (spec.pattern, spec.example)).collect();
    assert_eq!(
        listed,
        [
            ("/", "/"),
            ("/admin", "/admin"),
            ("/admin/user/{id}", "/admin/user/a"),
            ("/admin/user/{id}", "/admin/user/a"),
            (r"^/admin/log/(?<year>\d{4})(?:/(?<rest>.*))?$", "/admin/log/1111"),
            ("/v1 é/admin", "/v1%20%C3%A9/admin"),
            ("/v1 é/admin/user/{id}", "/v1%20%C3%A9/admin/user/a"),
            ("/v1 é/admin/user/{id}", "/v1%20%C3%A9/admin/user/a"),
            (
                r"^/v1 é/admin/log/(?<year>\d{4})(?:/(?<rest>.*))?$",
                "/v1%20%C3%A9/admin/log/1111"
            ),
            (r"^/v1 é/files/(?<path>.*)$", "/v1%20%C3%A9/files"),
            (r"^/large(?:/(?<x>[a-z]{3}(?:a|b){0,9000})$)", ""),
            ("^/admin", "/admin"),
        ]
    );
    let handler = Mongrel2Handler::new("ipc://send", "ipc://recv");
    let config = V1
        .mongrel2_conf("127.0.0.1:0", handler)
        .conf("web-1", "/srv/m2")
        .unwrap();
    assert!(
        config.contains(r#"routes={"/admin": handler0, "/files": handler0}"#),
        "{config}"
    );
}

/// Adds a value to the header `x-passed` of the request.
fn mark(
    name: &'static str,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + Send + Sync + 'static> {
    MapRequestLayer::new(move |mut request: Request<Body>| {
        request
            .headers_mut()
            .append("x-passed", HeaderValue::from_static(name));
        request
    })
}

mod open {
    use brubeck::prelude::*;

    pub fn passed(headers: &Headers) -> String {
        let passed = headers.get_all("x-passed").iter();
        passed
            .map(|value| value.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[get("/open")]
    pub async fn page(headers: Headers) -> String {
        passed(&headers)
    }
}

mod closed {
    use super::open::passed;
    use brubeck::prelude::*;

    #[get("/page")]
    pub async fn page(headers: Headers) -> String {
        passed(&headers)
    }

    #[get("/twice")]
    pub async fn twice(headers: Headers) -> String {
        passed(&headers)
    }

    pub const INNER: Routes<()> = routes![twice];
    pub const ROUTES: Routes<()> = routes![page, ..INNER];
}

const LAYERED: Routes<()> = routes![open::page, "/closed" => ..closed::ROUTES, ..closed::ROUTES];

#[tokio::test]
async fn route_layer_sees_the_requests_of_its_table_only() {
    let app = App::new(LAYERED, ())
        .route_layer(closed::INNER, mark("inner"))
        .route_layer(closed::ROUTES, mark("outer"))
        .layer(mark("all"));
    let client = TestClient::new(app);
    for (path, passed) in [
        ("/open", "all"),
        ("/closed/page", "all outer"),
        ("/page", "all outer"),
        ("/closed/twice", "all outer inner"),
        ("/x/../closed/%74wice", "all outer inner"),
    ] {
        client.get(path).await.assert_text(passed);
    }
}

#[tokio::test]
async fn route_layer_does_not_change_404_and_405() {
    let deny = layer_fn(|_: AppService| {
        service_fn(|_: Request<Body>| async {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok::<_, std::convert::Infallible>(response)
        })
    });
    let client = TestClient::new(App::new(LAYERED, ()).route_layer(closed::ROUTES, deny));
    client.get("/closed/page").await.assert_status(401);
    client.head("/closed/page").await.assert_status(401);
    client.post("/closed/page").await.assert_status(405);
    client.get("/closed/unknown").await.assert_status(404);
    client.get("/open").await.assert_status(200);
}

#[tokio::test]
async fn request_that_a_layer_redirects_passes_the_layers_of_its_new_route() {
    let redirect = layer_fn(|app: AppService| {
        service_fn(move |mut request: Request<Body>| {
            *request.uri_mut() = http::Uri::from_static("/closed/twice");
            app.clone().oneshot(request)
        })
    });
    const OPEN: Routes<()> = routes![open::page];
    let app = App::new(LAYERED, ())
        .route_layer(closed::INNER, mark("inner"))
        .route_layer(OPEN, redirect);
    TestClient::new(app).get("/open").await.assert_text("inner");
}

#[tokio::test]
async fn route_layer_of_an_unlisted_table_is_an_error_at_start() {
    const OPEN: Routes<()> = routes![open::page];
    let error = App::new(OPEN, ())
        .route_layer(closed::ROUTES, mark("x"))
        .into_service()
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot add a layer to `page`"), "{error}");
    assert!(error.contains("it is not in the route list"), "{error}");
    let error = App::new(OPEN, ())
        .route_layer(routes![], mark("x"))
        .into_service()
        .unwrap_err();
    assert!(error.to_string().contains("without web handlers"), "{error}");
}
