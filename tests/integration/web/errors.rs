//! Error responses: template pages, `catch` functions, the fallback, and methods and targets that no handler gets.

use brubeck::Method;
use brubeck::prelude::*;
use brubeck::testing::TestClient;

#[get("^/panic$")]
async fn panics() -> &'static str {
    panic!("on purpose")
}

#[get("^/own$")]
async fn own() -> (Status, Html<&'static str>) {
    (Status::NOT_FOUND, Html("<h1>my own page</h1>"))
}

#[get("^/status/(?<code>\\d+)$")]
async fn status(code: i32) -> Status {
    Status::new(code)
}

const ROUTES: Routes<()> = routes![panics, own, status];

/// Writes templates of error pages: for 404, an invalid one for 405, and one for all other errors.
fn pages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("errors")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "errors/404.html",
        "<p>nothing here: {{ reason }} {{ error_code }}</p>",
    );
    write("errors/405.html", "{{ broken");
    write(
        "errors.html",
        "<p>Drat! An error {{ error_code }} has occurred.</p>",
    );
    folder
}

#[tokio::test]
async fn error_pages_come_from_the_template_folder() {
    let folder = pages();
    let client = TestClient::new(App::new(ROUTES, ()).templates(folder.path()));
    let not_found = client.get("/nowhere").accept("text/html").await;
    not_found
        .assert_status(404)
        .assert_text("<p>nothing here: Not Found 404</p>");
    not_found.assert_header("content-type", "text/html; charset=utf-8");
    client
        .get("/panic")
        .accept("text/html")
        .await
        .assert_status(500)
        .assert_contains("Drat! An error 500");
    // The template for 405 is invalid, so the general one is used.
    let method_not_allowed = client.post("/own").accept("text/html").await;
    method_not_allowed
        .assert_status(405)
        .assert_text("<p>Drat! An error 405 has occurred.</p>")
        .assert_header("allow", "GET, HEAD, OPTIONS");
    // The handler's own page is kept.
    client
        .get("/own")
        .accept("text/html")
        .await
        .assert_status(404)
        .assert_contains("my own page");
    // Only clients that accept HTML get a page.
    client
        .get("/nowhere")
        .await
        .assert_status(404)
        .assert_text("Not Found");
    client
        .get("/nowhere")
        .accept("application/json")
        .await
        .assert_header("content-type", "application/problem+json");
}

#[tokio::test]
async fn catch_functions_replace_error_responses() {
    async fn not_found(uri: http::Uri) -> Html<String> {
        Html(format!("<p>no {uri}</p>"))
    }
    async fn unavailable() -> (Status, &'static str) {
        (Status::SERVICE_UNAVAILABLE, "come back later")
    }
    // Without a cookie secret there is no session, so this function is not called.
    async fn needs_session(_: Session) -> &'static str {
        "a page that is never sent"
    }
    async fn panicking_catch() -> &'static str {
        panic!("on purpose, too")
    }
    let app = App::new(ROUTES, ())
        .catch(404, not_found)
        .catch(500, unavailable)
        .catch(403, needs_session)
        .catch(402, panicking_catch);
    let client = TestClient::new(app);
    client
        .get("/x?y=1")
        .await
        .assert_status(404)
        .assert_text("<p>no /x?y=1</p>");
    client
        .get("/status/404")
        .await
        .assert_status(404)
        .assert_text("<p>no /status/404</p>");
    client
        .get("/panic")
        .await
        .assert_status(503)
        .assert_text("come back later");
    // A function that fails leaves the default response.
    client
        .get("/status/403")
        .await
        .assert_status(403)
        .assert_text("Forbidden");
    client
        .get("/status/402")
        .await
        .assert_status(402)
        .assert_text("Payment Required");
    // A response with a body of its own is kept.
    client
        .get("/own")
        .await
        .assert_status(404)
        .assert_contains("my own page");
    client.get("/status/418").await.assert_status(418);
}

#[tokio::test]
async fn fallback_answers_unmatched_paths() {
    async fn anything(method: Method, uri: http::Uri, cookies: Cookies) -> String {
        cookies.set(Cookie::new("lost", "yes"));
        format!("{method} {uri}")
    }
    let client = TestClient::new(App::new(ROUTES, ()).fallback(anything));
    client.post("/x").await.assert_status(200).assert_text("post /x");
    assert_eq!(client.cookie("lost").as_deref(), Some("yes"));
    client.post("/own").await.assert_status(405);
}

#[tokio::test]
async fn unknown_method_is_501() {
    let client = TestClient::new(App::new(ROUTES, ()));
    let brew = http::Method::from_bytes(b"BREW").unwrap();
    client.request(brew, "/own").await.assert_status(501);
}

#[tokio::test]
async fn long_target_is_414() {
    let client = TestClient::new(App::new(ROUTES, ()));
    client
        .get(&format!("/{}", "x".repeat(8200)))
        .await
        .assert_status(414);
}

#[tokio::test]
async fn options_is_204_with_allow() {
    let client = TestClient::new(App::new(ROUTES, ()));
    client
        .options("/own")
        .await
        .assert_status(204)
        .assert_header("allow", "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn head_has_the_status_and_length_of_get_without_its_body() {
    let client = TestClient::new(App::new(ROUTES, ()));
    client
        .head("/own")
        .await
        .assert_status(404)
        .assert_text("")
        .assert_header("content-length", "20");
}
