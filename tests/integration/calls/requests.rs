//! Requests without a contract: names of arguments, replaced arguments, and headers.

use brubeck::prelude::*;
use brubeck::{Deadline, Service, ServiceAddress, TestSite, TestSiteHandle};
use serde_json::{Value, json};
use std::time::Duration;

const ADDRESS: &str = "ipc://run/requests";
const SECRET: &str = "my_shared_secret";

#[service_handler("^/two$")]
async fn two(text: Arg<String>, n: Option<Arg<u64>>) -> Json<(String, Option<u64>)> {
    Json((text.0, n.map(|n| n.0)))
}

#[service_handler("^/big$")]
async fn big(big: Arg<u128>, x: Arg<u8>) -> Json<(u128, u8)> {
    Json((big.0, x.0))
}

#[service_handler("^/header$")]
async fn header(headers: Headers) -> Json<Vec<String>> {
    let values = headers.get_all("authorization").iter();
    Json(
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect(),
    )
}

#[service_handler("^/left$")]
async fn left(deadline: Deadline) -> Json<Option<u128>> {
    Json(deadline.remaining().map(|left| left.as_millis()))
}

#[service_handler("^/fail/(?<kind>[a-z]+)$")]
async fn fail(kind: String) -> Result<Json<u8>, Problem> {
    match kind.as_str() {
        "problem" => Err(Problem::new(409, "taken").with_type("https://example.org/taken")),
        "panic" => panic!("as the caller asked"),
        _ => Ok(Json(1)),
    }
}

const ROUTES: Routes<()> = routes![two, big, header, left, fail];
const NO_ROUTES: Routes<()> = routes![];

async fn start() -> (TestSiteHandle, Client) {
    let site = TestSite::new(NO_ROUTES, ())
        .service(Service::bind(ADDRESS, SECRET), App::new(ROUTES, ()))
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(ADDRESS, SECRET)).unwrap();
    (site, client)
}

#[tokio::test]
async fn names_that_json_escapes_leave_the_other_arguments_readable() {
    let (_site, client) = start().await;
    for name in [
        "quo\"te",
        "back\\slash",
        "line\nfeed",
        "tab\t",
        "\u{1}",
        "größe",
        "😀",
        "",
    ] {
        let call = client.request("/two").argument(name, 1).argument("text", "hi");
        assert_eq!(call.await.unwrap().body, json!(["hi", null]), "{name:?}");
    }
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    for body in [
        r#"{"text":"hi","gr\u00f6\u00dfe":1}"#,
        r#"{"\u0074ext":"\u0068i","größe":1}"#,
        r#" { "n" : null , "text" : "hi" } "#,
    ] {
        let response = client.request("/two").body(raw(body.trim())).await.unwrap();
        assert_eq!(response.body, json!(["hi", null]), "{body}");
    }
}

#[tokio::test]
async fn replaced_argument_leaves_the_others_as_they_were() {
    let (_site, client) = start().await;
    let call = client
        .request("/big")
        .argument("big", u128::MAX)
        .argument("x", 1)
        .argument("x", 2);
    let request = call.clone().into_request();
    assert_eq!(request.arguments().len(), 2);
    assert_eq!(call.text().await.unwrap().body, format!("[{},2]", u128::MAX));
    let deep: Value = (0..119).fold(json!(1), |value, _| json!([value]));
    let call = client
        .request("/two")
        .argument("text", "hi")
        .argument("deep", &deep)
        .argument("n", 1)
        .argument("n", 2);
    assert_eq!(call.clone().into_request().arguments().len(), 3);
    assert_eq!(call.await.unwrap().body, json!(["hi", 2]));
    let deeper: Value = (0..140).fold(json!(1), |value, _| json!([value]));
    let refused = client
        .request("/two")
        .argument("text", "hi")
        .argument("deep", &deeper)
        .await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, CallError::Refused(_)) && error.to_string().contains("`deep`"),
        "{error}"
    );
}

#[tokio::test]
async fn header_that_http_does_not_have_is_refused_with_its_name() {
    let (_site, client) = start().await;
    for (name, value) in [
        ("authorization", "Bearer t\n"),
        ("authorization", "a\r\nb"),
        ("authorization", "\0"),
        ("x a", "1"),
        ("x-ü", "1"),
        ("", "1"),
    ] {
        let error = client.request("/header").header(name, value).await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, CallError::Refused(_)) && text.contains(&format!("`{name}: ..` is not a header")),
            "{text}"
        );
        assert!(value.len() < 2 || !text.contains(value), "{text}");
    }
}

#[tokio::test]
async fn last_header_of_a_name_in_any_case_is_sent() {
    let (_site, client) = start().await;
    let call = client
        .request("/header")
        .header("Authorization", "Bearer 1")
        .header("authorization", "Bearer 2")
        .header("AUTHORIZATION", "Bearer ü");
    assert_eq!(call.await.unwrap().body, json!(["Bearer ü"]));
}

#[tokio::test(start_paused = true)]
async fn longer_timeout_never_means_less_time() {
    let (_site, client) = start().await;
    let mut before = 0;
    for timeout in [
        Duration::from_secs(1),
        Duration::from_secs(3_600),
        Duration::from_secs(49 * 86_400),
        Duration::from_secs(60 * 86_400),
        Duration::from_secs(u64::MAX / 2),
        Duration::MAX,
    ] {
        let response = client.request("/left").timeout(timeout).await.unwrap();
        let left = response.body.as_u64().unwrap();
        assert!(left >= before, "{timeout:?}: {left} ms after {before} ms");
        before = left;
    }
    assert!(before > 49 * 86_400 * 1_000, "{before} ms");
}

#[tokio::test]
async fn error_for_status_is_the_problem_of_the_service() {
    let (_site, client) = start().await;
    let response = async |path| client.request(path).await.unwrap().error_for_status();
    assert_eq!(response("/fail/not").await.unwrap().body, 1);
    for (path, code, text) in [
        ("/fail/problem", 409, "taken"),
        ("/fail/panic", 500, ""),
        ("/two", 400, "the argument `text` is missing"),
        ("/nothing", 404, ""),
    ] {
        match response(path).await {
            Err(CallError::Failure { status, error, .. }) => {
                assert_eq!((status.code(), error.status().code()), (code, code), "{path}");
                assert!(error.to_string().contains(text), "{path}: {error}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}
