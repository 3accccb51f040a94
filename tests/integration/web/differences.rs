//! The same requests to an axum router and to a brubeck application with the same handlers. Every difference is listed, with its reason, in
//! `docs/evidence/axum.md`.
//!
//! `DIFFERENCES=overwrite cargo test --test integration web::differences` rewrites the list. Review the difference before you commit it.

use axum::Router;
use axum::extract::{Path, Query as AxumQuery};
use axum::routing;
use brubeck::prelude::*;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;
use tower::ServiceExt;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "the fields are shown by `Debug`")]
struct Listing {
    page: u32,
    tag: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "the fields are shown by `Debug`")]
struct Item {
    a: u32,
    b: Option<String>,
}

/// The handlers, once for each framework, with the same bodies.
mod ours {
    use super::*;

    #[get("/plain")]
    async fn plain() -> &'static str {
        "plain"
    }

    #[post("/plain")]
    async fn posted() -> &'static str {
        "posted"
    }

    #[get("/user/{id}")]
    async fn user(id: u32) -> String {
        format!("{id:?}")
    }

    #[get("/text/{name}")]
    async fn text(name: String) -> String {
        format!("{name:?}")
    }

    #[get("/pair/{a}/{b}")]
    async fn pair(a: String, b: i8) -> String {
        format!("{a:?} {b:?}")
    }

    #[get("/float/{x}")]
    async fn float(x: f64) -> String {
        format!("{x:?}")
    }

    #[get("/bool/{x}")]
    async fn boolean(x: bool) -> String {
        format!("{x:?}")
    }

    #[get("/files/{*rest}")]
    async fn files(rest: String) -> String {
        format!("{rest:?}")
    }

    #[get("/query")]
    async fn query(listing: Query<Listing>) -> String {
        format!("{:?}", listing.0)
    }

    #[post("/form")]
    async fn form(listing: Form<Listing>) -> String {
        format!("{:?}", listing.0)
    }

    #[post("/json")]
    async fn json(item: Json<Item>) -> String {
        format!("{:?}", item.0)
    }

    #[post("/option")]
    async fn option(item: Option<Json<Item>>) -> String {
        format!("{:?}", item.map(|item| item.0))
    }

    #[post("/body")]
    async fn body(body: Text) -> String {
        format!("{:?}", body.0)
    }

    #[get("/headers")]
    async fn headers(headers: Axum<HeaderMap>) -> String {
        super::header_values(&headers.0)
    }

    #[get("/")]
    async fn inner() -> &'static str {
        "inner"
    }

    #[get("/leaf/{x}")]
    async fn leaf(x: String) -> String {
        format!("{x:?}")
    }

    use brubeck::Axum;

    const NESTED: Routes<()> = routes![inner, leaf];
    pub const ROUTES: Routes<()> = routes![
        plain, posted, user, text, pair, float, boolean, files, query, form, json, option, body, headers,
        "/nest" => ..NESTED
    ];
}

fn theirs() -> Router {
    let nested = Router::new()
        .route("/", routing::get(|| async { "inner" }))
        .route(
            "/leaf/{x}",
            routing::get(|Path(x): Path<String>| async move { format!("{x:?}") }),
        );
    Router::new()
        .route(
            "/plain",
            routing::get(|| async { "plain" }).post(|| async { "posted" }),
        )
        .route(
            "/user/{id}",
            routing::get(|Path(id): Path<u32>| async move { format!("{id:?}") }),
        )
        .route(
            "/text/{name}",
            routing::get(|Path(name): Path<String>| async move { format!("{name:?}") }),
        )
        .route(
            "/pair/{a}/{b}",
            routing::get(|Path((a, b)): Path<(String, i8)>| async move { format!("{a:?} {b:?}") }),
        )
        .route(
            "/float/{x}",
            routing::get(|Path(x): Path<f64>| async move { format!("{x:?}") }),
        )
        .route(
            "/bool/{x}",
            routing::get(|Path(x): Path<bool>| async move { format!("{x:?}") }),
        )
        .route(
            "/files/{*rest}",
            routing::get(|Path(rest): Path<String>| async move { format!("{rest:?}") }),
        )
        .route(
            "/query",
            routing::get(|AxumQuery(listing): AxumQuery<Listing>| async move { format!("{listing:?}") }),
        )
        .route(
            "/form",
            routing::post(|axum::Form(listing): axum::Form<Listing>| async move { format!("{listing:?}") }),
        )
        .route(
            "/json",
            routing::post(|axum::Json(item): axum::Json<Item>| async move { format!("{item:?}") }),
        )
        .route(
            "/option",
            routing::post(|item: Option<axum::Json<Item>>| async move {
                format!("{:?}", item.map(|item| item.0))
            }),
        )
        .route(
            "/body",
            routing::post(|body: String| async move { format!("{body:?}") }),
        )
        .route(
            "/headers",
            routing::get(|headers: HeaderMap| async move { header_values(&headers) }),
        )
        .nest("/nest", nested)
}

fn header_values(headers: &HeaderMap) -> String {
    let values: Vec<&[u8]> = headers
        .get_all("x-value")
        .iter()
        .map(|value| value.as_bytes())
        .collect();
    format!(
        "{:?}",
        values
            .iter()
            .map(|value| String::from_utf8_lossy(value))
            .collect::<Vec<_>>()
    )
}

#[derive(Clone)]
struct Case {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, &'static [u8])>,
    body: Vec<u8>,
}

impl Case {
    fn get(target: impl Into<String>) -> Case {
        Case {
            method: "GET",
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn post(target: &str, content_type: Option<&'static str>, body: impl Into<Vec<u8>>) -> Case {
        Case {
            method: "POST",
            headers: content_type
                .map(|value| ("content-type", value.as_bytes()))
                .into_iter()
                .collect(),
            body: body.into(),
            ..Case::get(target)
        }
    }

    /// Returns the request in one line, for a table of Markdown.
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.method, self.target);
        for (name, value) in &self.headers {
            write!(line, " {name}: {}", value.escape_ascii()).expect("a string");
        }
        if !self.body.is_empty() {
            let shown: String = self
                .body
                .iter()
                .take(60)
                .map(|byte| byte.escape_ascii().to_string())
                .collect();
            let rest = if self.body.len() > 60 { ".." } else { "" };
            write!(line, " body: {shown}{rest}").expect("a string");
        }
        line.replace("\\\"", "\"").replace('|', "\\|").replace('`', "'")
    }

    /// Returns the request. `None` if the types of the crate `http` cannot have it: then no server of hyper gets it.
    fn request<B: From<Bytes>>(&self) -> Option<Request<B>> {
        let mut request = Request::builder()
            .method(http::Method::from_bytes(self.method.as_bytes()).ok()?)
            .uri(Uri::try_from(self.target.as_str()).ok()?);
        if request.uri_ref()?.authority().is_none() {
            request = request.header("host", "localhost");
        }
        if !self.body.is_empty() {
            request = request.header("content-length", self.body.len());
        }
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        request.body(B::from(Bytes::from(self.body.clone()))).ok()
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The text of a segment.
    for text in [
        "a",
        "a%20b",
        "%41",
        "caf%C3%A9",
        "%c3%a9",
        "%FF",
        "%C3",
        "%ED%A0%80",
        "%00",
        "%0A",
        "%0D%0Ax",
        "%2F",
        "a%2Fb",
        "%5C",
        "%2e",
        "%2e%2e",
        ".",
        "..",
        "...",
        "a..b",
        ".a",
        "%25",
        "%2525",
        "%252e%252e",
        "%",
        "%4",
        "%zz",
        "a%",
        "+",
        "a+b",
        ";v=1",
        "a;b",
        "a=b",
        "a,b",
        "~",
        "%7E",
        "@",
        ":",
        "a:b",
        "!$&'()*",
        "",
        "a/",
        "a//",
        "%E2%82%AC",
        "%F0%9F%98%80",
        "{x}",
        "a|b",
        "a^b",
        "\"",
        "%22",
        "%3Cb%3E",
        "a#b",
        "a?b",
        "%3Fb",
        "%23",
        "_",
        "-",
        "A",
        "index.html",
        "%2E%2E%2Fsecret",
        "..%2Fsecret",
        "..%5Csecret",
    ] {
        cases.push(Case::get(format!("/text/{text}")));
    }
    for rest in [
        "a",
        "a/b",
        "a//b",
        "",
        "/",
        "a/",
        "a/../b",
        "../b",
        "a/./b",
        "%2e%2e/b",
        "a%2Fb",
        "a%2F..%2Fb",
        "a/..",
        "a/.",
        "..",
        "%2F",
        "%2Fetc",
        "/etc",
        "a/%20/b",
        "%00",
        "%FF",
        "a/b/c/d/e",
        "a?x=/..",
        "a%3Fb",
        "..%2F..%2Fetc",
        "a/%2e%2e",
        "a/.../b",
    ] {
        cases.push(Case::get(format!("/files/{rest}")));
    }
    // Values.
    for text in [
        "0",
        "7",
        "007",
        "+7",
        "%2B7",
        "-7",
        "-0",
        "%37",
        "%207",
        "7%20",
        "7.0",
        "7e0",
        "4294967295",
        "4294967296",
        "0x7",
        "7/",
        "",
        "a",
        "1_000",
        "%D9%A7",
        "true",
    ] {
        cases.push(Case::get(format!("/user/{text}")));
    }
    for text in [
        "0.5", ".5", "5.", "+1.5", "-0", "1e3", "1E3", "1e400", "inf", "-inf", "Infinity", "NaN", "nan",
        "1_0", "0x1p3", "1,5", "%201", "a", "5",
    ] {
        cases.push(Case::get(format!("/float/{text}")));
    }
    for text in [
        "true", "false", "True", "TRUE", "1", "0", "on", "off", "yes", "no", "t", "%74rue", "a",
    ] {
        cases.push(Case::get(format!("/bool/{text}")));
    }
    for text in [
        "a/1", "a/-128", "a/128", "a/1/", "/1", "a", "a/b/1", "a%2Fb/1", "a/%31", "a/", "./1", "../1",
    ] {
        cases.push(Case::get(format!("/pair/{text}")));
    }
    // Queries and forms have one grammar.
    let queries = [
        "page=1",
        "page=01",
        "page=+1",
        "page=%2B1",
        "page=%201",
        "page=1%20",
        "page=-1",
        "page=4294967296",
        "page=",
        "page",
        "",
        "&",
        "page=1&",
        "&page=1",
        "&&page=1&&",
        "page=1&page=2",
        "page=1;tag=x",
        "page=1&tag=",
        "page=1&tag",
        "tag=x",
        "page=a",
        "page=1&other=x",
        "page=1&tag=a%20b",
        "page=1&tag=a+b",
        "page=1&tag=%2B",
        "page=1&tag=%FF",
        "page=1&tag=%C3%A9",
        "page=1&tag=%",
        "page=1&tag=%zz",
        "page=1&tag=%2",
        "page=1&tag=%00",
        "page=1&tag=a&tag=b",
        "PAGE=1",
        "page[]=1",
        "page%3D1",
        "=1",
        "page=1=2",
        "page==1",
        "page=%31",
        "pa%67e=1",
        "page=1&all=true",
        "page=1&all=1",
        "page=1&all=on",
        "page=1&all=",
        "page=1&all=false",
        "page=1&all=TRUE",
        "page=1&all",
        "page=1.0",
        "page=1e0",
        "page=0x1",
        "page=1&tag=a=b",
        "page=1&tag=a%26b",
        "page=1&tag=?",
        "page=1&tag=/",
        "page=1&tag=null",
        "page=null",
        "page=\"1\"",
        "page=1#x",
    ];
    for query in queries {
        cases.push(Case::get(format!("/query?{query}")));
        cases.push(Case::post(
            "/form",
            Some("application/x-www-form-urlencoded"),
            query,
        ));
    }
    cases.push(Case::get("/query"));
    cases.push(Case::get("/query??page=1"));
    for content_type in [
        None,
        Some("application/x-www-form-urlencoded; charset=utf-8"),
        Some("APPLICATION/X-WWW-FORM-URLENCODED"),
        Some("application/x-www-form-urlencoded;"),
        Some("application/x-www-form-urlencodedx"),
        Some("application/json"),
        Some("text/plain"),
        Some(""),
        Some("multipart/form-data; boundary=x"),
    ] {
        cases.push(Case::post("/form", content_type, "page=1"));
    }
    cases.push(Case::post(
        "/form",
        Some("application/x-www-form-urlencoded"),
        &b"page=1&tag=\xff"[..],
    ));
    cases.push(Case::post(
        "/form",
        Some("application/x-www-form-urlencoded"),
        &b"page=1&tag=\xc3\xa9"[..],
    ));
    // JSON.
    for body in [
        r#"{"a":1}"#,
        r#" {"a":1} "#,
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"a":1,"c":2}"#,
        r#"{"a":"x"}"#,
        r#"{"a":"1"}"#,
        r#"{}"#,
        "null",
        "[]",
        "[1]",
        r#"[1,"x"]"#,
        "1",
        "",
        " ",
        r#"{"a":1}x"#,
        r#"{"a":1}{"a":2}"#,
        r#"{"a":1,}"#,
        "{a:1}",
        "{'a':1}",
        r#"{"a":"#,
        r#"{"a":1.0}"#,
        r#"{"a":1e0}"#,
        r#"{"a":-1}"#,
        r#"{"a":4294967296}"#,
        r#"{"a":01}"#,
        r#"{"a":true}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"b":"\ud800"}"#,
        r#"{"a":1,"b":"\u00e9"}"#,
        "\u{feff}{\"a\":1}",
        r#"{"A":1}"#,
        "NaN",
        "/**/{\"a\":1}",
    ] {
        cases.push(Case::post("/json", Some("application/json"), body));
        cases.push(Case::post("/option", Some("application/json"), body));
    }
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    cases.push(Case::post(
        "/json",
        Some("application/json"),
        format!("{{\"a\":1,\"c\":{deep}}}"),
    ));
    cases.push(Case::post(
        "/json",
        Some("application/json"),
        &b"{\"a\":1,\"b\":\"\xff\"}"[..],
    ));
    for content_type in [
        None,
        Some("application/json; charset=utf-8"),
        Some("application/json; charset=latin1"),
        Some("APPLICATION/JSON"),
        Some("application/json;"),
        Some("application/problem+json"),
        Some("application/vnd.api+json; version=1"),
        Some("text/json"),
        Some("application/jsonp"),
        Some("application/x-json"),
        Some("json"),
        Some("text/plain"),
        Some("*/*"),
        Some(""),
        Some("application/json, text/plain"),
    ] {
        for target in ["/json", "/option"] {
            cases.push(Case::post(target, content_type, r#"{"a":1}"#));
        }
    }
    cases.push(Case::post("/option", None, ""));
    cases.push(Case::post("/json", None, ""));
    cases.push(Case::post("/option", Some("text/plain"), ""));
    // Texts.
    for body in [
        &b"hello"[..],
        b"",
        b"caf\xc3\xa9",
        b"caf\xe9",
        b"\xef\xbb\xbfbom",
        b"\0",
        b"a\r\nb",
    ] {
        cases.push(Case::post("/body", Some("text/plain"), body));
    }
    cases.push(Case::post(
        "/body",
        Some("text/plain; charset=latin1"),
        &b"caf\xe9"[..],
    ));
    cases.push(Case::post("/body", None, "hello"));
    // Headers.
    let values: [&[&'static [u8]]; 7] = [
        &[],
        &[b""],
        &[b"a"],
        &[b"a", b"b"],
        &[b"\xe9"],
        &[b"caf\xc3\xa9"],
        &[b"a, b"],
    ];
    for values in values {
        let headers = values.iter().map(|value| ("x-value", *value)).collect();
        cases.push(Case {
            headers,
            ..Case::get("/headers")
        });
    }
    // Methods.
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "Post",
        "QUERY", "PROPFIND", "G-T",
    ] {
        for target in ["/plain", "/user/7", "/user/x", "/nowhere", "/nest"] {
            cases.push(Case {
                method,
                ..Case::get(target)
            });
        }
    }
    // Targets.
    for target in [
        "/",
        "/plain/",
        "//plain",
        "/plain//",
        "/./plain",
        "/x/../plain",
        "/../plain",
        "/plain/.",
        "/plain/..",
        "/plain?",
        "/plain?x",
        "/plain#x",
        "/PLAIN",
        "/%70lain",
        "/%50lain",
        "/plain%2F",
        "/plain%20",
        "/plain;x",
        "/plain%00",
        "/pl%61in%3F",
        "/plain%",
        "/nest",
        "/nest/",
        "/nest//",
        "/nest/leaf/a",
        "/nest//leaf/a",
        "/nest/leaf",
        "/nest/leaf/",
        "/nest/leaf/a/",
        "/nest/leaf/a%2Fb",
        "/nest%2Fleaf/a",
        "/nest/../plain",
        "/nest/x/../leaf/a",
        "/%6Eest/leaf/a",
        "/nested",
        "/nest/leaf/%2e%2e",
        "http://localhost/plain",
        "http://other.example/plain",
        "https://localhost:8080/user/7",
        "http://localhost",
        "http://localhost/../plain",
        "*",
        "localhost:80",
        "/user",
        "/user/7/8",
        "/query/",
        "/files",
        "/text",
        "/text/a?name=b",
        "/user/7?id=8",
    ] {
        cases.push(Case::get(target));
        if target == "*" {
            cases.push(Case {
                method: "OPTIONS",
                ..Case::get(target)
            });
        }
    }
    cases
}

/// Returns what a client sees: the status, and for a success the content; for 405 the methods.
async fn outcome<B>(response: http::Response<B>) -> String
where
    B: axum::body::HttpBody,
    B::Error: std::fmt::Debug,
{
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let body = body.collect().await.expect("a body").to_bytes();
    let mut outcome = status.to_string();
    if head.status.is_success() {
        let content_type = head
            .headers
            .get(CONTENT_TYPE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if let Some(content_type) = content_type.filter(|value| value != "text/plain; charset=utf-8") {
            write!(outcome, " {content_type}").expect("a string");
        }
        if !body.is_empty() {
            write!(outcome, " {}", String::from_utf8_lossy(&body)).expect("a string");
        }
    }
    if status == 405 || head.status.is_success() {
        let allowed = head
            .headers
            .get_all(ALLOW)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut allowed: Vec<String> = allowed
            .flat_map(|value| value.split(','))
            .map(|method| method.trim().to_owned())
            .collect();
        allowed.sort();
        if !allowed.is_empty() {
            write!(outcome, " allow: {}", allowed.join(", ")).expect("a string");
        }
    }
    outcome.replace('|', "\\|").replace('`', "'")
}

/// A reason for differences, and whether it applies to a request: the request, the response of axum, and that of brubeck.
struct Reason {
    title: &'static str,
    text: &'static str,
    applies: fn(&Case, &str, &str) -> bool,
}

/// The first reason that applies is that of a difference.
const REASONS: &[Reason] = &[
    Reason {
        title: "Methods that the server does not know",
        text: "A method that the server does not implement for any resource is 501 (RFC 9110, section 9.1); 405 is for a method that it knows. Methods are \
               case-sensitive, so `get` is none. `CONNECT` is answered in the same way where there is no resource (section 9.3.6).",
        applies: |_, _, ours| ours == "501",
    },
    Reason {
        title: "Forms of the target",
        text: "`*` stands for the whole server and belongs to `OPTIONS` (RFC 9112, section 3.2.4); a host without a path belongs to `CONNECT` (section 3.2.3). \
               axum takes both as an unknown path.",
        applies: |case, _, _| !case.target.starts_with(['/', 'h']) && !case.target.starts_with("http"),
    },
    Reason {
        title: "NUL",
        text: "A NUL ends texts in the interfaces of operating systems and databases, and no client has a reason to send it in a path. It is refused before a \
               handler runs.",
        applies: |case, _, ours| ours == "400" && case.target.contains("%00"),
    },
    Reason {
        title: "Paths outside the grammar of URIs",
        text: "A `%` without two hexadecimal digits, and characters that a client must encode, are not in the grammar (RFC 3986, sections 2.1 and 3.3). They \
               are refused instead of guessed, because proxies guess differently.",
        applies: |_, _, ours| ours == "400",
    },
    Reason {
        title: "Dot segments",
        text: "The segments `.` and `..`, also as `%2e`, are removed before a route is chosen (RFC 3986, sections 5.2.4 and 6.2.2.3), as browsers and proxies do \
               it. No handler gets a capture that leads out of a folder.",
        applies: |case, _, _| {
            let path = case
                .target
                .split(['?', '#'])
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .replace("%2e", ".");
            path.split('/').any(|segment| matches!(segment, "." | ".."))
        },
    },
    Reason {
        title: "Equivalent paths",
        text: "An encoded unreserved character is the character (RFC 3986, section 6.2.2.2), so both paths name one resource and reach one handler.",
        applies: |case, _, _| ["%70", "%6E"].iter().any(|encoded| case.target.contains(encoded)),
    },
    Reason {
        title: "The root of a nested table",
        text: "`/nest` and `/nest/` both reach the route `/` of a table below `/nest`, as for a mounted service.",
        applies: |case, _, _| case.target == "/nest/",
    },
    Reason {
        title: "Empty segments",
        text: "The parameter of a template stands for at least one character. A handler that takes a name never gets an empty one.",
        applies: |case, _, ours| ours == "404" && case.target.contains("//"),
    },
    Reason {
        title: "Media types",
        text: "Media types are compared without regard to case, and as a whole (RFC 9110, section 8.3.1). axum compares the begin of the text.",
        applies: |case, _, _| {
            let content_type = case.headers.first().map(|(_, value)| *value);
            case.target == "/form" && content_type != Some(b"application/x-www-form-urlencoded")
        },
    },
    Reason {
        title: "Repeated names",
        text: "The last value counts, in queries, forms, arguments and captures alike. A hidden field beside a checkbox sends a name twice, and a list takes all values.",
        applies: |case, _, ours| {
            let text = format!("{}{}", case.target, String::from_utf8_lossy(&case.body));
            ours.starts_with("200")
                && ["page=", "tag="]
                    .iter()
                    .any(|name| text.matches(name).count() == 2)
        },
    },
    Reason {
        title: "Booleans",
        text: "A browser sends `on` for a checkbox. `on`, `off`, `1` and `0` are booleans in queries, forms, arguments and captures alike.",
        applies: |case, _, ours| {
            ours.starts_with("200") && (case.target.starts_with("/bool/") || ours.contains("all: true"))
        },
    },
    Reason {
        title: "Values that a capture cannot have",
        text: "The path names no resource: no client can get one by sending it in another form, so it is 404, as for a route with the pattern `\\d+`.",
        applies: |_, theirs, ours| theirs == "400" && ours == "404",
    },
    Reason {
        title: "Optional bodies",
        text: "An `Option` is `None` if and only if the request has no body. A body of another type, or of none, is a mistake of the client: it is an error, and \
               not a silent `None`.",
        applies: |case, _, _| case.target == "/option",
    },
    Reason {
        title: "OPTIONS",
        text: "Every resource answers `OPTIONS` with its methods (RFC 9110, section 9.3.7), so `Allow` lists it (section 10.2.1).",
        applies: |_, _, ours| ours.contains("OPTIONS"),
    },
];

fn document(tried: usize, differences: &[(Case, String, String)]) -> String {
    let mut text = format!(
        "# Differences from axum\n\nA test sends {tried} requests to an axum router and to a brubeck application with the same handlers: paths, values, queries, \
         forms, JSON, texts,\nheaders, methods and forms of the target. It compares the status, the content of a success, and the header `Allow`. \
         {} responses differ, each\nfor a reason below; the test fails if another one differs. The reasons are in \
         `tests/integration/web/differences.rs`, and this command writes the page:\n\n    DIFFERENCES=overwrite cargo test --test integration web::differences\n\n\
         In the table a backtick is shown as `'`.\n",
        differences.len()
    );
    for (index, reason) in REASONS.iter().enumerate() {
        let rows: Vec<_> = differences
            .iter()
            .filter(|(case, theirs, ours)| reason_of(case, theirs, ours) == Some(index))
            .collect();
        write!(
            text,
            "\n## {}\n\n{}\n\n| request | axum | brubeck |\n|---|---|---|\n",
            reason.title, reason.text
        )
        .expect("a string");
        for (case, theirs, ours) in rows {
            writeln!(text, "| `{}` | {theirs} | {ours} |", case.line()).expect("a string");
        }
    }
    text
}

fn reason_of(case: &Case, theirs: &str, ours: &str) -> Option<usize> {
    REASONS
        .iter()
        .position(|reason| (reason.applies)(case, theirs, ours))
}

#[tokio::test]
async fn every_difference_from_axum_has_a_reason() {
    let app = App::new(ours::ROUTES, ()).into_service().unwrap();
    let router = theirs();
    let (mut tried, mut differences) = (0, Vec::new());
    for case in cases() {
        let (Some(request), Some(same)) = (case.request::<Full<Bytes>>(), case.request::<axum::body::Body>())
        else {
            continue;
        };
        tried += 1;
        let ours = outcome(app.clone().oneshot(request).await.expect("a response")).await;
        let theirs = outcome(router.clone().oneshot(same).await.expect("a response")).await;
        if ours != theirs {
            differences.push((case, theirs, ours));
        }
    }
    assert!(tried >= 500, "{tried} requests");
    let unexplained: Vec<String> = differences
        .iter()
        .filter(|(case, theirs, ours)| reason_of(case, theirs, ours).is_none())
        .map(|(case, theirs, ours)| format!("{}\n  axum: {theirs}\n  brubeck: {ours}", case.line()))
        .collect();
    assert!(
        unexplained.is_empty(),
        "no reason for:\n{}",
        unexplained.join("\n")
    );
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/evidence/axum.md");
    let text = document(tried, &differences);
    if std::env::var_os("DIFFERENCES").is_some_and(|value| value == "overwrite") {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(&path, &text).expect("a writable file");
    }
    let listed = std::fs::read_to_string(&path).unwrap_or_default();
    for (expected, line) in text.lines().zip(listed.lines().chain(std::iter::repeat(""))) {
        assert_eq!(
            line,
            expected,
            "{} is not up to date; see the command in it",
            path.display()
        );
    }
    assert_eq!(listed.lines().count(), text.lines().count());
}
