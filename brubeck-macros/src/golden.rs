//! What each macro makes of an example, kept in `tests/expand` to be read.
//!
//! `EXPAND=overwrite cargo test -p brubeck-macros golden` writes the files anew. Read the difference before it is
//! kept.

use crate::handler::Marker;
use crate::{contract, handler, routes, state, template};
use proc_macro2::TokenStream;
use std::path::Path;

/// The item and what is made of it, as one would write it.
fn check(name: &str, input: &str, expanded: TokenStream) {
    let file: syn::File = syn::parse2(expanded).expect("an expansion is a file of items");
    let commented: String = input
        .trim()
        .lines()
        .map(|line| format!("// {line}").trim_end().to_owned() + "\n")
        .collect();
    let text = format!("{commented}\n{}", prettyplease::unparse(&file));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/expand/{name}.rs"));
    if std::env::var_os("EXPAND").is_some_and(|value| value == "overwrite") {
        std::fs::write(&path, &text).expect("a golden file");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is now:\n{text}", path.display());
}

/// The item of `#[name(attribute)] item`, and the attribute.
fn parts(input: &str) -> (TokenStream, TokenStream) {
    let mut tokens: Vec<_> = input
        .parse::<TokenStream>()
        .expect("tokens")
        .into_iter()
        .collect();
    let rest = tokens.split_off(2);
    let Some(proc_macro2::TokenTree::Group(group)) = tokens.pop() else {
        panic!("`#[..]` comes first");
    };
    let attribute = group.stream().into_iter().find_map(|token| match token {
        proc_macro2::TokenTree::Group(arguments) => Some(arguments.stream()),
        _ => None,
    });
    (attribute.unwrap_or_default(), rest.into_iter().collect())
}

fn handler(name: &str, marker: Marker, input: &str) {
    let (attribute, item) = parts(input);
    check(name, input, handler::expand(marker, attribute, item));
}

#[test]
fn golden_slow() {
    let input = r#"
#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(body: Json<Echo>) -> Reply<Echoed> {
    Reply::new(Echoed { text: body.0.text }).status(200, "Took a while, but I am back.")
}"#;
    handler("slow", Marker::SERVICE, input);
}

#[test]
fn golden_blocking() {
    let input = r#"
#[service_handler(path = "^/primes$", blocking, concurrency = 2)]
fn primes(below: Arg<u64>) -> Json<Vec<u64>> {
    sieve(below.0)
}"#;
    handler("blocking", Marker::SERVICE, input);
}

#[test]
fn golden_get() {
    let input = r#"
#[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]))?$")]
pub async fn user(id: u64, tab: Option<char>, db: State<Db>) -> Json<User> {
    db.user(id, tab).await
}"#;
    handler("get", Marker::verb("get"), input);
}

#[test]
fn golden_response_handler() {
    let input = r#"
#[response_handler(slow_echo::echo)]
async fn on_slow(reply: ServiceResponse<Echoed>) -> Seen {
    Seen(reply.body.text)
}"#;
    handler("response_handler", Marker::RESPONSE, input);
}

#[test]
fn golden_broken_handler() {
    let input = r#"
#[get("/index")]
async fn index() -> &'static str {
    "hello"
}"#;
    handler("broken_handler", Marker::verb("get"), input);
}

#[test]
fn golden_contract() {
    let input = r#"
#[service_client]
pub trait SlowEcho {
    /// Says it back, late.
    #[call("/service/slow/{room}", timeout = "5s", idempotent)]
    async fn echo(&self, room: u64, text: String) -> Result<Echoed, Fault>;
}"#;
    let (attribute, item) = parts(input);
    check("contract", input, contract::expand(attribute, item));
}

#[test]
fn golden_routes() {
    let input = "const ROUTES: Routes<App> = routes![slow, ..admin::ROUTES];";
    let table = routes::expand("slow, ..admin::ROUTES".parse().expect("tokens"));
    check(
        "routes",
        input,
        quote::quote!(const ROUTES: Routes<App> = #table;),
    );
}

#[test]
fn golden_serves() {
    let input = "serves!(ROUTES => slow_echo);";
    check(
        "serves",
        input,
        routes::expand_serves("ROUTES => slow_echo".parse().expect("tokens")),
    );
}

#[test]
fn golden_state() {
    let input = "
#[derive(AppState)]
struct App {
    db: Db,
    #[state(skip)]
    started: Instant,
}";
    check("state", input, state::expand(parts(input).1));
}

#[test]
fn golden_template() {
    let input = "
#[derive(Template)]
#[template(\"success.html\")]
struct Success {
    name: String,
}";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand/templates");
    check("template", input, template::expand_in(&folder, parts(input).1));
}
