//! Extractors.

use brubeck::prelude::*;
use brubeck::testing::{TestClient, TestForm};
use brubeck::{Axum, AxumBody, Method, Multipart};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize, Serialize)]
struct Order {
    dish: String,
    count: Option<u8>,
    #[serde(default)]
    extra: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Cart {
    items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
struct Item {
    price: u32,
}

#[get("^/query$")]
async fn query(order: Query<Order>) -> Json<Order> {
    Json(order.0)
}

#[post("^/form$")]
async fn form(order: Form<Order>) -> Json<Order> {
    Json(order.0)
}

#[post("^/json$")]
async fn json_body(cart: Json<Cart>) -> Json<Cart> {
    cart
}

#[post("^/argument$")]
async fn argument(name: Arg<String>, count: Option<Arg<u8>>) -> String {
    format!("{} {:?}", name.0, count.map(|count| count.0))
}

#[get("^/header$")]
async fn header(user_agent: Header<String>, x_count: Option<Header<u32>>) -> String {
    format!("{} {:?}", *user_agent, x_count.map(|count| *count))
}

#[get("^/number$")]
async fn number(x_count: Header<u32>) -> String {
    x_count.to_string()
}

#[post("^/upload$")]
async fn upload(form: Multipart) -> Result<Json<serde_json::Value>, Rejection> {
    let file = form.file("file")?;
    Ok(Json(json!({
        "title": form.text("title"),
        "name": file.file_name(),
        "type": file.media_type(),
        "size": file.bytes().len(),
        "parts": form.parts().len(),
        "files": form.all("file").count(),
    })))
}

#[post("^/request$")]
async fn request(
    uri: http::Uri,
    method: Method,
    headers: Headers,
    body: bytes::Bytes,
    from: RemoteAddr,
) -> String {
    format!("{method} {uri} {} {} {from}", headers.len(), body.len())
}

#[get("^/layered$")]
async fn layered(number: Extension<u64>) -> String {
    number.to_string()
}

#[post("^/axum$")]
async fn axum_extractors(
    query: Axum<axum::extract::Query<Item>>,
    text: AxumBody<String>,
    again: AxumBody<axum::body::Bytes>,
    direct: Text,
) -> String {
    format!("{} {} {} {}", query.price, *text, again.len(), &*direct)
}

const ROUTES: Routes<()> = routes![
    query,
    form,
    json_body,
    argument,
    header,
    number,
    upload,
    request,
    layered,
    axum_extractors
];

fn client() -> TestClient {
    TestClient::new(App::new(ROUTES, ()))
}

#[tokio::test]
async fn query_deserializes_into_a_struct() {
    let client = client();
    let full = client
        .get("/query?dish=caf%C3%A9+noir&count=2&extra=salt&extra=p%26p")
        .await;
    full.assert_json(json!({ "dish": "café noir", "count": 2, "extra": ["salt", "p&p"] }));
    client
        .get("/query?dish=x&count=")
        .await
        .assert_json(json!({ "dish": "x", "count": null, "extra": [] }));
}

#[tokio::test]
async fn invalid_query_is_400_and_names_the_field() {
    let client = client();
    // The last value counts, and an empty one is none.
    client
        .get("/query?dish=soup&count=2&extra=salt&extra=p%26p&count=")
        .await
        .assert_json(json!({ "dish": "soup", "count": null, "extra": ["salt", "p&p"] }));
    let invalid = client
        .get("/query?dish=x&count=300")
        .accept("application/json")
        .await;
    invalid
        .assert_status(400)
        .assert_header("content-type", "application/problem+json");
    assert_eq!(invalid.json::<serde_json::Value>()["errors"][0]["field"], "count");
    client
        .get("/query")
        .await
        .assert_status(400)
        .assert_contains("dish");
}

#[tokio::test]
async fn form_deserializes_into_a_struct() {
    let client = client();
    let fields = [("dish", "soup & bread"), ("extra", "a"), ("extra", "b")];
    let order = client.post("/form").form(fields).await;
    order.assert_json(json!({ "dish": "soup & bread", "count": null, "extra": ["a", "b"] }));
    let mixed_case = client
        .post("/form")
        .header("content-type", "Application/X-WWW-Form-Urlencoded; charset=utf-8");
    mixed_case.body("dish=x").await.assert_status(200);
}

#[tokio::test]
async fn invalid_form_is_422_and_names_the_field() {
    let client = client();
    client
        .post("/form")
        .form([("count", "1")])
        .await
        .assert_status(422)
        .assert_contains("dish");
    client
        .post("/form")
        .form([("dish", "x"), ("count", "many")])
        .await
        .assert_status(422)
        .assert_contains("`count`");
}

#[tokio::test]
async fn form_of_another_media_type_is_415() {
    client()
        .post("/form")
        .json(&json!({ "dish": "x" }))
        .await
        .assert_status(415)
        .assert_contains("x-www-form-urlencoded");
}

#[tokio::test]
async fn form_with_more_than_1000_fields_is_413() {
    let many: Vec<(String, String)> = (0..1001).map(|n| (n.to_string(), String::new())).collect();
    client().post("/form").form(many).await.assert_status(413);
}

#[tokio::test]
async fn json_body_deserializes_into_a_struct() {
    client()
        .post("/json")
        .json(&json!({ "items": [{ "price": 1 }] }))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn json_error_is_422_and_names_the_invalid_field() {
    let client = client();
    let invalid = client
        .post("/json")
        .json(&json!({ "items": [{ "price": 1 }, { "price": "x" }] }))
        .await;
    invalid
        .assert_status(422)
        .assert_header("content-type", "application/problem+json");
    assert_eq!(
        invalid.json::<serde_json::Value>()["errors"][0]["field"],
        "items[1].price"
    );
}

#[tokio::test]
async fn malformed_json_is_400_and_another_media_type_is_415() {
    let client = client();
    client
        .post("/json")
        .header("content-type", "application/json")
        .body("{")
        .await
        .assert_status(400);
    let trailing = client
        .post("/json")
        .header("content-type", "application/json")
        .body("{\"items\":[]} x");
    trailing.await.assert_status(400);
    client.post("/json").body("{}").await.assert_status(415);
}

#[tokio::test]
async fn deeply_nested_json_is_422() {
    let deep = "[".repeat(200_000);
    client()
        .post("/json")
        .header("content-type", "application/json")
        .body(deep)
        .await
        .assert_status(422);
}

#[tokio::test]
async fn arguments_come_from_the_form_or_the_query() {
    let client = client();
    client
        .post("/argument?name=q&count=3")
        .await
        .assert_text("q Some(3)");
    // The form takes precedence over the query, and its last value over earlier ones.
    client
        .post("/argument?name=q")
        .form([("name", "f"), ("name", "g")])
        .await
        .assert_text("g None");
}

#[tokio::test]
async fn missing_argument_is_400_and_named() {
    let missing = client().post("/argument").accept("application/json").await;
    assert_eq!(
        missing.assert_status(400).json::<serde_json::Value>()["errors"][0]["field"],
        "name"
    );
}

#[tokio::test]
async fn typed_headers_are_parsed_and_invalid_ones_are_400() {
    let client = client();
    let request = || client.get("/header").header("user-agent", "Lynx");
    request().header("x-count", "7").await.assert_text("Lynx Some(7)");
    request().header("x-count", "seven").await.assert_status(400);
    request().await.assert_text("Lynx None");
    client
        .get("/header")
        .await
        .assert_status(400)
        .assert_contains("`user-agent` is missing");
    client
        .get("/number")
        .header("x-count", "seven")
        .await
        .assert_status(400)
        .assert_contains("`x-count` is not valid");
}

#[tokio::test]
async fn multipart_form_carries_texts_and_files() {
    let client = client();
    let form =
        TestForm::new()
            .text("title", "Dave")
            .file("file", "C:\\fotos\\d\"ave.png", "image/png", [0, 1, 2]);
    let sent = client.post("/upload").multipart(form).await;
    let expected = json!({
        "title": "Dave", "name": "d\"ave.png", "type": "image/png", "size": 3, "parts": 2, "files": 1
    });
    sent.assert_json(expected);
}

#[tokio::test]
async fn multipart_form_without_the_file_is_422_another_type_415_and_truncated_400() {
    let client = client();
    client
        .post("/upload")
        .multipart(TestForm::new().text("file", "x"))
        .await
        .assert_status(422);
    client.post("/upload").form([("a", "b")]).await.assert_status(415);
    let truncated = client
        .post("/upload")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nconte");
    truncated.await.assert_status(400);
}

#[tokio::test]
async fn multipart_form_over_the_part_count_or_the_body_limit_is_413() {
    let client = client();
    let many = (0..101).fold(TestForm::new(), |form, n| form.text(&n.to_string(), ""));
    client.post("/upload").multipart(many).await.assert_status(413);
    // The default body limit is 1 MiB.
    let large = TestForm::new().file("file", "f", "text/plain", vec![b'x'; 2 << 20]);
    client.post("/upload").multipart(large).await.assert_status(413);
}

#[tokio::test]
async fn uri_method_headers_body_address_and_extension_are_extracted() {
    let client = client();
    let request = client
        .post("/request?a=%20")
        .header("x-a", "1")
        .body("hello")
        .from([192, 0, 2, 1].into());
    request.await.assert_text("post /request?a=%20 3 5 192.0.2.1");
    // Without the layer there is no such extension.
    client.get("/layered").await.assert_status(500);
    let app = App::new(ROUTES, ()).layer(axum::Extension(7_u64));
    TestClient::new(app).get("/layered").await.assert_text("7");
}

#[tokio::test]
async fn axum_extractors_are_handler_arguments() {
    let client = client();
    client
        .post("/axum?price=7")
        .body("hello")
        .await
        .assert_text("7 hello 5 hello");
    client
        .post("/axum?price=x")
        .body("hello")
        .await
        .assert_status(400);
}

#[tokio::test]
async fn forwarded_address_is_used_only_from_trusted_proxies() {
    let app = || App::new(ROUTES, ());
    let remote_addr = async |app: App<()>| {
        let client = TestClient::new(app);
        let request = client
            .post("/request")
            .header("x-forwarded-for", "1.1.1.1, 203.0.113.9")
            .from([127, 0, 0, 1].into());
        request.await.text().to_owned()
    };
    assert!(remote_addr(app()).await.ends_with(" 127.0.0.1"));
    assert!(
        remote_addr(app().trusted_proxies(["127.0.0.1"]))
            .await
            .ends_with(" 203.0.113.9")
    );
}

#[tokio::test]
async fn filter_for_loopback_addresses_passes_for_no_forwarded_address() {
    #[get("^/admin$")]
    async fn admin() -> &'static str {
        "secret"
    }
    async fn only_from_loopback(peer: RemoteAddr) -> Result<(), Status> {
        if peer.0.is_loopback() {
            Ok(())
        } else {
            Err(Status::FORBIDDEN)
        }
    }
    const ADMIN: Routes<()> = routes![admin];
    let app = || App::new(ADMIN, ()).before(only_from_loopback);
    let loopback = [127, 0, 0, 1].into();
    let local = TestClient::new(app());
    local.get("/admin").from(loopback).await.assert_text("secret");
    local.get("/admin").await.assert_status(403);
    // With a layer, the address is in the extensions of the request.
    for app in [app(), app().layer(tower_http::trace::TraceLayer::new_for_http())] {
        let client = TestClient::new(app.trusted_proxies(["127.0.0.1", "unix"]));
        client.get("/admin").from(loopback).await.assert_status(403);
        client.get("/admin").await.assert_status(403);
        for value in [
            "203.0.113.9",
            "203.0.113.9:4711",
            "[2001:db8::7]",
            "203.0.113.9, 127.0.0.1:99",
            "unknown",
            "_hidden",
            "",
            "127.0.0.1",
            "::1",
            "[::ffff:127.0.0.1]:80",
        ] {
            let forwarded = client.get("/admin").header("x-forwarded-for", value);
            forwarded.from(loopback).await.assert_status(403);
            let forwarded = client
                .get("/admin")
                .header("forwarded", format!("for=\"{value}\""));
            forwarded.from(loopback).await.assert_status(403);
        }
    }
}

#[tokio::test]
async fn invalid_trusted_proxy_is_an_error() {
    let error = App::new(ROUTES, ())
        .trusted_proxies(["localhost"])
        .into_service()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`localhost` is not a valid trusted proxy"),
        "{error}"
    );
}

#[tokio::test]
async fn part_limit_applies_to_each_multipart_part() {
    let client = TestClient::new(App::new(ROUTES, ()).limit::<upload>(Limits::new().part_limit(100)));
    let form = |size: usize| {
        let small = TestForm::new().text("title", "x");
        small.file("file", "a.txt", "text/plain", "y".repeat(100)).file(
            "other",
            "b.txt",
            "text/plain",
            "z".repeat(size),
        )
    };
    client
        .post("/upload")
        .multipart(form(100))
        .await
        .assert_status(200);
    let refused = client
        .post("/upload")
        .accept("application/json")
        .multipart(form(101))
        .await;
    refused.assert_status(413);
    let problem: serde_json::Value = refused.json();
    assert_eq!(problem["errors"][0]["field"], "other", "{problem}");
    assert_eq!(problem["detail"], "the part `other` is larger than 100 bytes");
}
