//! `Option` and `Result` of every extractor: `None` only if there is nothing, and the same rejection for what is invalid.

use brubeck::User;
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use bytes::Bytes;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Fields {
    #[allow(dead_code)]
    a: u8,
}

/// A user whose id is `known`.
#[derive(Clone, Debug)]
struct Member;

impl User for Member {
    type State = ();

    async fn find(id: &str, _: &()) -> Option<Member> {
        (id == "known").then_some(Member)
    }
}

/// Declares a handler with an extractor, and one with its `Option`. Both reply with `some` or `none`.
macro_rules! pair {
    ($required:ident $optional:ident $required_path:literal $optional_path:literal $argument:ident $ty:ty) => {
        #[post($required_path)]
        async fn $required($argument: $ty) -> &'static str {
            let _ = $argument;
            "some"
        }

        #[post($optional_path)]
        async fn $optional($argument: Option<$ty>) -> &'static str {
            if $argument.is_some() { "some" } else { "none" }
        }
    };
}

pair!(argument optional_argument "^/argument$" "^/optional/argument$" a Arg<u8>);
pair!(query optional_query "^/query$" "^/optional/query$" query Query<Fields>);
pair!(form optional_form "^/form$" "^/optional/form$" form Form<Fields>);
pair!(json optional_json "^/json$" "^/optional/json$" json Json<Fields>);
pair!(text optional_text "^/text$" "^/optional/text$" text Text);
pair!(body optional_body "^/body$" "^/optional/body$" body Bytes);
pair!(multipart optional_multipart "^/multipart$" "^/optional/multipart$" form Multipart);
pair!(header optional_header "^/header$" "^/optional/header$" x_a Header<u8>);
pair!(extension optional_extension "^/extension$" "^/optional/extension$" number Extension<u64>);
pair!(address optional_address "^/address$" "^/optional/address$" address RemoteAddr);
pair!(user optional_user "^/user$" "^/optional/user$" user CurrentUser<Member>);
pair!(socket optional_socket "^/socket$" "^/optional/socket$" upgrade Upgrade);
pair!(session optional_session "^/session$" "^/optional/session$" session Session);

#[post("^/log-in$")]
async fn log_in(id: Arg<String>, session: Session) {
    session.log_in(id.0);
}

type ByteResult = Result<Arg<u8>, Rejection>;

#[post("^/result$")]
async fn result(a: ByteResult, b: Option<ByteResult>) -> String {
    format!("{:?} {:?}", a.map(|a| a.0).ok(), b.map(|b| b.map(|b| b.0).ok()))
}

#[post("^/either$")]
async fn either(json: Option<Json<Fields>>, form: Result<Form<Fields>, Rejection>, text: Text) -> String {
    format!("{} {} {}", json.is_some(), form.is_ok(), text.len())
}

const ROUTES: Routes<()> = routes![
    argument,
    optional_argument,
    query,
    optional_query,
    form,
    optional_form,
    json,
    optional_json,
    text,
    optional_text,
    body,
    optional_body,
    multipart,
    optional_multipart,
    header,
    optional_header,
    extension,
    optional_extension,
    address,
    optional_address,
    user,
    optional_user,
    socket,
    optional_socket,
    session,
    optional_session,
    log_in,
    result,
    either
];

fn client() -> TestClient {
    TestClient::new(App::new(ROUTES, ()).cookie_secret("a secret of the test, 32 bytes long"))
}

/// A request: what follows the path, headers, and the body.
type Sent<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// Sends a request to a handler, and returns the status and the text of the response.
async fn send(client: &TestClient, path: &str, (target, headers, body): Sent<'_>) -> (u16, String) {
    let mut request = client.post(&format!("{path}{target}")).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.await;
    (response.status(), response.text().to_owned())
}

const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const MULTIPART: &[(&str, &str)] = &[("content-type", "multipart/form-data; boundary=XX")];

#[tokio::test]
async fn option_is_none_only_if_there_is_nothing() {
    // The handler, a request without a value for it, and one with a value.
    let table: &[(&str, Sent<'_>, Sent<'_>)] = &[
        ("argument", ("", &[], b""), ("?a=1", &[], b"")),
        ("argument", ("?b=1", FORM, b"b=2"), ("", FORM, b"a=1")),
        (
            "argument",
            ("?b=1", MULTIPART, b"--XX--"),
            (
                "",
                MULTIPART,
                b"--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--XX--",
            ),
        ),
        ("query", ("", &[], b""), ("?a=1", &[], b"")),
        ("query", ("?", &[], b""), ("?a=1&a=2", &[], b"")),
        ("form", ("", &[], b""), ("", FORM, b"a=1")),
        ("json", ("", &[], b""), ("", JSON, b"{\"a\":1}")),
        ("json", ("", JSON, b""), ("", JSON, b"{\"a\":1}")),
        ("text", ("", &[], b""), ("", &[], b"x")),
        ("body", ("", &[], b""), ("", &[], b"\xff")),
        ("multipart", ("", &[], b""), ("", MULTIPART, b"--XX--")),
        ("header", ("", &[], b""), ("", &[("x-a", "1")], b"")),
    ];
    let client = client();
    for (handler, absent, valid) in table {
        let none = send(&client, &format!("/optional/{handler}"), *absent).await;
        assert_eq!(none, (200, "none".to_owned()), "{handler} {absent:?}");
        for path in [format!("/{handler}"), format!("/optional/{handler}")] {
            assert_eq!(
                send(&client, &path, *valid).await,
                (200, "some".to_owned()),
                "{path} {valid:?}"
            );
        }
    }
    for handler in ["extension", "address", "socket", "user"] {
        let none = send(&client, &format!("/optional/{handler}"), ("", &[], b"")).await;
        assert_eq!(none, (200, "none".to_owned()), "{handler}");
        let (status, _) = send(&client, &format!("/{handler}"), ("", &[], b"")).await;
        assert!(status >= 400, "{handler}");
    }
    assert_eq!(send(&client, "/optional/session", ("", &[], b"")).await.1, "some");
}

#[tokio::test]
async fn option_rejects_what_is_invalid_as_the_extractor_does() {
    // The handler, the status, and requests with a value of a wrong type or that cannot be parsed.
    let table: &[(&str, u16, &[Sent<'_>])] = &[
        (
            "argument",
            400,
            &[
                ("?a=1O", &[], b""),
                ("?a=300", &[], b""),
                ("?a=", &[], b""),
                ("", FORM, b"a=x"),
                ("?a=1", FORM, b"a=x"),
            ],
        ),
        (
            "argument",
            400,
            &[
                (
                    "",
                    MULTIPART,
                    b"--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n\xff\r\n--XX--",
                ),
                ("", MULTIPART, b"x"),
            ],
        ),
        (
            "query",
            400,
            &[("?a=1O", &[], b""), ("?b=1", &[], b""), ("?a", &[], b"")],
        ),
        (
            "form",
            422,
            &[("", FORM, b"a=x"), ("", FORM, b""), ("", FORM, b"b=1")],
        ),
        ("form", 415, &[("", JSON, b"{\"a\":1}"), ("", &[], b"a=1")]),
        (
            "json",
            422,
            &[
                ("", JSON, b"{\"a\":\"not a number\"}"),
                ("", JSON, b"{\"a\":300}"),
                ("", JSON, b"null"),
                ("", JSON, b"{}"),
            ],
        ),
        (
            "json",
            400,
            &[("", JSON, b"{\"a\":"), ("", JSON, b"x"), ("", JSON, b" ")],
        ),
        ("json", 415, &[("", FORM, b"a=1"), ("", &[], b"{\"a\":1}")]),
        ("text", 400, &[("", &[], b"\xff")]),
        (
            "multipart",
            400,
            &[
                ("", MULTIPART, b"x"),
                ("", MULTIPART, b"--XX\r\n"),
                ("", MULTIPART, b"--XX\r\nx\r\n\r\n--XX--"),
            ],
        ),
        (
            "multipart",
            415,
            &[
                ("", FORM, b"a=1"),
                ("", &[("content-type", "multipart/form-data")], b"--XX--"),
            ],
        ),
        (
            "header",
            400,
            &[
                ("", &[("x-a", "seven")], b""),
                ("", &[("x-a", "")], b""),
                ("", &[("x-a", "300")], b""),
            ],
        ),
    ];
    let client = client();
    for (handler, status, requests) in table {
        for request in *requests {
            let required = send(&client, &format!("/{handler}"), *request).await;
            assert_eq!(required.0, *status, "{handler} {request:?} {}", required.1);
            let optional = send(&client, &format!("/optional/{handler}"), *request).await;
            assert_eq!(optional, required, "{handler} {request:?}");
        }
    }
}

#[tokio::test]
async fn option_of_the_user_is_none_without_a_user_that_exists() {
    for (id, expected) in [("known", "some"), ("deleted", "none")] {
        let client = client();
        client.post(&format!("/log-in?id={id}")).await.assert_status(204);
        client.post("/optional/user").await.assert_text(expected);
    }
    // Without a cookie secret the application is not configured, which is no missing user.
    let client = TestClient::new(App::new(ROUTES, ()));
    client.post("/optional/user").await.assert_status(500);
}

#[tokio::test]
async fn result_has_the_rejection() {
    let client = client();
    client
        .post("/result?a=1&b=2")
        .await
        .assert_text("Some(1) Some(Some(2))");
    client
        .post("/result?a=x&b=x")
        .await
        .assert_text("None Some(None)");
    client.post("/result").await.assert_text("None None");
}

#[tokio::test]
async fn optional_formats_can_be_taken_together() {
    let client = client();
    assert_eq!(
        send(&client, "/either", ("", JSON, b"{\"a\":1}")).await.1,
        "true false 7"
    );
    assert_eq!(send(&client, "/either", ("", &[], b"")).await.1, "false false 0");
    assert_eq!(send(&client, "/either", ("", FORM, b"a=1")).await.0, 415);
}
