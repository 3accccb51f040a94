//! URLs of handlers: `url!`.

use crate::support::logs::CapturedLogs;
use brubeck::minijinja::{Value, context};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Routed, Spec, UrlError, url};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[get("/user/{name}/{type}")]
async fn user(name: String, r#type: String) -> String {
    format!("{name:?} {:?}", r#type)
}

#[get("/files/{*path}")]
async fn files(path: String) -> String {
    format!("{path:?}")
}

#[get(r"^/doc/(?<name>[^/.]+)$")]
async fn doc(name: String) -> String {
    format!("{name:?}")
}

#[get("^/proxy/(?<target>.+)/(?<rest>[^/]*)$")]
async fn proxy(target: String, rest: String) -> String {
    format!("{target:?} {rest:?}")
}

#[get("^/split-(?<a>[a-z]+)(?<b>[a-z]+)$")]
async fn split(a: String, b: String) -> String {
    format!("{a:?} {b:?}")
}

#[get("/café {{x}} 100%")]
async fn literal() -> &'static str {
    "literal"
}

mod nested {
    use brubeck::prelude::*;

    #[get("/")]
    pub async fn index() -> &'static str {
        "index"
    }

    #[get("/page/{name}")]
    pub async fn page(name: String) -> String {
        format!("{name:?}")
    }

    #[get(r"^/number/(?<n>\d+)$")]
    pub async fn number(n: u64) -> String {
        format!("{n}")
    }

    pub const ROUTES: Routes<()> = routes![index, page, number];
}

#[get("/nested/page/me")]
async fn me() -> &'static str {
    "me"
}

const ROUTES: Routes<()> =
    routes![user, files, doc, proxy, split, literal, me, "/nested" => ..nested::ROUTES];

fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "/", "%", "%2F", "..", ".", " ", "é", "?", "{", "+", "#", "a", "b", "/../",
    ]);
    let part = prop_oneof![2 => special.prop_map(str::to_owned), 1 => "\\PC{0,3}".prop_map(String::from)];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

#[test]
fn url_reaches_its_handler_with_the_values() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = TestClient::new(App::new(ROUTES, ()));
    let config = Config {
        cases: 2000,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(text(), text()), |(a, b)| {
        let urls: [(Result<String, UrlError>, String); 6] = [
            (url!(user, name = a, r#type = b), format!("{a:?} {b:?}")),
            (url!(files, path = a), format!("{a:?}")),
            (url!(doc, name = a), format!("{a:?}")),
            (url!(ROUTES, proxy, rest = b, target = a), format!("{a:?} {b:?}")),
            (url!(ROUTES, split, a = a, b = b), format!("{a:?} {b:?}")),
            (url!(ROUTES, nested::page, name = a), format!("{a:?}")),
        ];
        for (url, expected) in urls {
            if let Ok(url) = url {
                let response = runtime.block_on(client.get(&url).into_future());
                prop_assert_eq!(response.status(), 200, "{}", url);
                prop_assert_eq!(response.text(), &expected, "{}", url);
            }
        }
        // A segment can be any text, except for those that a path cannot have.
        let is_segment = !a.is_empty() && a != "." && a != ".." && !a.contains('\0');
        prop_assert_eq!(
            url!(ROUTES, nested::page, name = a).is_ok(),
            is_segment,
            "{:?}",
            a
        );
        let is_doc = is_segment && !a.contains(['/', '.']);
        prop_assert_eq!(url!(doc, name = a).is_ok(), is_doc, "{:?}", a);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    for value in ["", "a", "..", "-1", "7/8"] {
        assert!(url!(ROUTES, nested::number, n = value).is_err(), "{value}");
    }
}

#[test]
fn url_has_the_prefix_of_its_table() {
    assert_eq!(url!(ROUTES, nested::index).unwrap(), "/nested");
    assert_eq!(url!(nested::ROUTES, nested::index).unwrap(), "/");
    assert_eq!(
        url!(ROUTES, nested::page, name = "a/b").unwrap(),
        "/nested/page/a%2Fb"
    );
    assert_eq!(url!(ROUTES, nested::number, n = 7).unwrap(), "/nested/number/7");
    assert_eq!(url!(literal).unwrap(), "/caf%C3%A9%20%7Bx%7D%20100%25");
    assert_eq!(url!(files, path = "a b/c").unwrap(), "/files/a%20b/c");
    // `me` takes this path.
    let error = url!(ROUTES, nested::page, name = "me").unwrap_err().to_string();
    assert!(
        error.contains("`me`, which is listed before it, matches `/nested/page/me`"),
        "{error}"
    );
}

#[test]
fn url_without_a_table_is_refused_for_a_handler_below_a_prefix() {
    let _client = TestClient::new(App::new(ROUTES, ()));
    let error = url!(nested::number, n = 7).unwrap_err().to_string();
    assert!(
        error.contains("lists it below `/nested`; name the table"),
        "{error}"
    );
}

/// A page whose template is read from a folder.
struct Links {
    value: String,
}

impl Template for Links {
    const NAME: &'static str = "links.html";
    const SOURCES: &'static [(&'static str, &'static str)] = &[];
    const URLS: &'static [(&'static str, &'static Spec)] = &[("page", &<nested::page as Routed>::SPEC)];

    fn context(&self) -> Value {
        context! { value => &self.value }
    }
}

#[get("/links")]
async fn links(value: Arg<String>) -> Page<Links> {
    Page(Links { value: value.0 })
}

mod other {
    use brubeck::prelude::*;

    #[get("/other/{name}")]
    pub async fn page(name: String) -> String {
        name
    }

    #[service_handler(path = "/service/{id}")]
    pub async fn service(id: u64) {
        let _ = id;
    }
}

/// Returns an application with a template, and the folder of the template.
fn with_template(routes: Routes<()>, development: bool, template: &str) -> (TestClient, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("links.html"), template).unwrap();
    let app = App::new(routes, ())
        .development(development)
        .templates(folder.path());
    (TestClient::new(app), folder)
}

async fn rendered(client: &TestClient, value: &str) -> (u16, String) {
    let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/links?value={encoded}");
    let response = client.get(&path).await;
    (response.status(), response.text().to_owned())
}

const LINKED: Routes<()> = routes![
    user, files, doc, literal, me, other::page, other::service, links,
    "/nested" => ..nested::ROUTES, "/a" => ..nested::ROUTES
];
const PREFIXED: Routes<()> = routes![user, files, doc, literal, me, links, "/nested" => ..nested::ROUTES];

#[tokio::test]
async fn template_builds_the_url_of_a_handler() {
    for (template, expected) in [
        ("{{ url('literal') }}", "/caf%C3%A9%20%7Bx%7D%20100%25"),
        (
            "{{ url('user', name=value, type=7) }}",
            "/user/%3Cb%3E%20%26%20%2F%27/7",
        ),
        ("{{ url('files', path=value) }}", "/files/%3Cb%3E%20%26%20/%27"),
        ("{{ url('nested::number', n=7) }}", "/nested/number/7"),
        ("{{ url('crate::web::urls::nested::index') }}", "/nested"),
        ("{{ url('page', name=true) }}", "/nested/page/true"),
        (
            "{% set u = url('page', name=1) %}{{ u }}{{ u | length }}",
            "/nested/page/114",
        ),
        (
            "{% macro m(n) %}{{ url('page', name=n) }}{% endmacro %}{{ m(2) }}",
            "/nested/page/2",
        ),
        (
            "{% for n in [1, 2] %}{{ url('page', name=n) }} {% endfor %}",
            "/nested/page/1 /nested/page/2 ",
        ),
        (
            "<a href='{{ url('page', name=value|upper) }}'>",
            "<a href='/nested/page/%3CB%3E%20%26%20%2F%27'>",
        ),
        // Without a call it is like a variable that is missing.
        (
            "{{ url }}{{ url is defined }}{{ url | default('x') }}{% if url %}y{% endif %}",
            "Falsex",
        ),
        ("{% set url = 'mine' %}{{ url }}", "mine"),
    ] {
        let (client, _folder) = with_template(PREFIXED, true, template);
        let (status, text) = rendered(&client, "<b> & /'").await;
        assert_eq!(
            (status, text.replace("false", "False").as_str()),
            (200, expected),
            "{template}"
        );
    }
}

#[tokio::test]
async fn wrong_url_of_a_template_is_an_error_in_development_and_logged_otherwise() {
    for (template, reason) in [
        (
            "{{ url('pages', name=1) }}",
            "the application lists no web handler of this name",
        ),
        (
            "{{ url('other::service', id=1) }}",
            "the application lists no web handler of this name",
        ),
        ("{{ url('number') }}", "the capture `n` has no value"),
        (
            "{{ url('user', name=1, type=1, x=2) }}",
            "its path has no capture `x`",
        ),
        (
            "{{ url('doc', name='a.b') }}",
            "its path `^/doc/(?<name>[^/.]+)$` does not match the values name = \"a.b\"",
        ),
        (
            "{{ url('user', name=value, type=1) }}",
            "does not match the values name = \"..\"",
        ),
        (
            "{{ url('user', name=nothing, type=1) }}",
            "the value of `name` is undefined",
        ),
        (
            "{{ url('user', name=[1], type=1) }}",
            "the value of `name` is sequence",
        ),
        (
            "{{ url('user', 1) }}",
            "takes the name of a handler, and its captures by keyword",
        ),
        (
            "{{ url() }}",
            "takes the name of a handler, and its captures by keyword",
        ),
        (
            "{{ url(7) }}",
            "takes the name of a handler, and its captures by keyword",
        ),
        ("{{ url('index') }}", "lists it below `/nested` and below `/a`"),
        (
            "{{ url('page', name=1) }}",
            "lists it below `/nested` and below `/a`",
        ),
        (
            "{{ url('user::') }}",
            "the application lists no web handler of this name",
        ),
    ] {
        let (client, _folder) = with_template(LINKED, true, template);
        let logs = CapturedLogs::start(tracing::Level::WARN);
        assert_eq!(rendered(&client, "..").await.0, 500, "{template}");
        assert!(logs.text().contains(reason), "{template}: {}", logs.text());
        drop(logs);
        let (client, _folder) = with_template(LINKED, false, template);
        let logs = CapturedLogs::start(tracing::Level::WARN);
        for _ in 0..2 {
            assert_eq!(rendered(&client, "..").await, (200, String::new()), "{template}");
        }
        assert_eq!(
            logs.text()
                .matches("a template shows nothing: links.html:1: ")
                .count(),
            1,
            "{}",
            logs.text()
        );
    }
    // A name that two handlers have, and a page whose handler the application does not list.
    const TWO: Routes<()> = routes![links, other::page, "/x" => ..nested::ROUTES];
    let (client, _folder) = with_template(TWO, true, "{{ url('x::page', name=1) }}");
    let logs = CapturedLogs::start(tracing::Level::WARN);
    assert_eq!(rendered(&client, "").await.0, 500);
    assert!(
        logs.text().contains("lists two handlers of this name"),
        "{}",
        logs.text()
    );
    const NONE: Routes<()> = routes![links, other::page];
    let (client, _folder) = with_template(NONE, true, "{{ url('page', name=1) }}");
    assert_eq!(rendered(&client, "").await.0, 500);
    assert!(
        logs.text().contains("the application does not list it"),
        "{}",
        logs.text()
    );
    // An earlier route takes the URL.
    let (client, _folder) = with_template(PREFIXED, true, "{{ url('page', name='me') }}");
    assert_eq!(rendered(&client, "").await.0, 500);
    assert!(
        logs.text().contains("`me`, which is listed before it"),
        "{}",
        logs.text()
    );
}

#[tokio::test]
async fn url_of_a_template_is_that_of_the_macro() {
    let (client, _folder) = with_template(
        PREFIXED,
        false,
        "{{ url('files', path=value) }} {{ url('nested::page', name=value) }}",
    );
    let values = [
        "",
        "a",
        "a/b",
        "/a",
        "//evil.example",
        "..",
        "a/../b",
        "é",
        "\"'<>&",
        "%2F",
        "a b?c#d",
        "\u{1}",
        "/",
        "\\",
    ];
    for value in values {
        let expected = format!(
            "{} {}",
            url!(PREFIXED, files, path = value).unwrap_or_default(),
            url!(PREFIXED, nested::page, name = value).unwrap_or_default()
        );
        assert_eq!(rendered(&client, value).await, (200, expected), "{value}");
    }
}

#[tokio::test]
async fn error_page_can_build_urls() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("errors.html"),
        "<a href=\"{{ url('literal') }}\">{{ url('nobody') }}",
    )
    .unwrap();
    let app = App::new(PREFIXED, ()).development(false).templates(folder.path());
    let response = TestClient::new(app).get("/nowhere").accept("text/html").await;
    response
        .assert_status(404)
        .assert_text("<a href=\"/caf%C3%A9%20%7Bx%7D%20100%25\">");
}

#[tokio::test]
async fn global_of_the_application_takes_the_place_of_the_function() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("links.html"), "{{ url }}").unwrap();
    let app = App::new(PREFIXED, ())
        .global("url", "mine")
        .templates(folder.path());
    let response = TestClient::new(app).get("/links?value=1").await;
    response.assert_status(200).assert_text("mine");
}

#[get("/{*rest}")]
async fn everything(rest: String) -> String {
    rest
}

#[test]
fn url_never_names_a_host() {
    for value in ["/evil.example", "//evil.example", "/evil.example/a"] {
        let url = url!(everything, rest = value).unwrap();
        assert!(!url.starts_with("//"), "{url}");
    }
}
