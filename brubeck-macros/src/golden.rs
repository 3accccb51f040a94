//! Compares expansions of the macros with the files in `tests/expand`.
//!
//! `EXPAND=overwrite cargo test -p brubeck-macros golden` rewrites the files. Review the difference before you commit it.

use crate::handler::HandlerAttribute;
use crate::{contract, handler, routes, state, template};
use proc_macro2::TokenStream;
use std::path::Path;

/// Compares an expansion with its file, which contains the input as a comment and the formatted output. Writes the file first if the
/// variable `EXPAND` is `overwrite`.
fn assert_golden(name: &str, input: &str, expanded: TokenStream) {
    let file: syn::File = syn::parse2(expanded).expect("the expansion should be a list of items");
    let commented: String = input
        .trim()
        .lines()
        .map(|line| format!("// {line}").trim_end().to_owned() + "\n")
        .collect();
    let text = format!("{commented}\n{}", prettyplease::unparse(&file));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/expand/{name}.rs"));
    if std::env::var_os("EXPAND").is_some_and(|value| value == "overwrite") {
        std::fs::write(&path, &text).expect("the golden file should be writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "the expansion differs from {}:\n{text}",
        path.display()
    );
}

/// Splits `#[name(args)] item` into the arguments and the item.
fn split(input: &str) -> (TokenStream, TokenStream) {
    let mut tokens: Vec<_> = input
        .parse::<TokenStream>()
        .expect("the input should be tokens")
        .into_iter()
        .collect();
    let rest = tokens.split_off(2);
    let Some(proc_macro2::TokenTree::Group(group)) = tokens.pop() else {
        panic!("the input should begin with an attribute");
    };
    let attribute = group.stream().into_iter().find_map(|token| match token {
        proc_macro2::TokenTree::Group(arguments) => Some(arguments.stream()),
        _ => None,
    });
    (attribute.unwrap_or_default(), rest.into_iter().collect())
}

fn assert_golden_handler(name: &str, attribute: HandlerAttribute, input: &str) {
    let (args, item) = split(input);
    assert_golden(name, input, handler::expand(attribute, args, item));
}

#[test]
fn golden_slow() {
    let input = r#"
#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(body: Json<Echo>) -> Reply<Echoed> {
    Reply::new(Echoed { text: body.0.text }).status(200, "Took a while, but I am back.")
}"#;
    assert_golden_handler("slow", HandlerAttribute::SERVICE, input);
}

#[test]
fn golden_blocking() {
    let input = r#"
#[service_handler(path = "^/primes$", blocking, concurrency = 2)]
fn primes(below: Arg<u64>) -> Json<Vec<u64>> {
    sieve(below.0)
}"#;
    assert_golden_handler("blocking", HandlerAttribute::SERVICE, input);
}

#[test]
fn golden_get() {
    let input = r#"
#[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]))?$")]
pub async fn user(id: u64, tab: Option<char>, db: State<Db>) -> Json<User> {
    db.user(id, tab).await
}"#;
    assert_golden_handler("get", HandlerAttribute::verb("get"), input);
}

#[test]
fn golden_response_handler() {
    let input = r#"
#[response_handler(slow_echo::echo)]
async fn on_slow(reply: ServiceResponse<Echoed>) -> Seen {
    Seen(reply.body.text)
}"#;
    assert_golden_handler("response_handler", HandlerAttribute::RESPONSE, input);
}

#[test]
fn golden_broken_handler() {
    let input = r#"
#[get("index")]
async fn index() -> &'static str {
    "hello"
}"#;
    assert_golden_handler("broken_handler", HandlerAttribute::verb("get"), input);
}

#[test]
fn golden_contract() {
    let input = r#"
#[service_client]
pub trait SlowEcho {
    /// Says it back, late.
    #[call("/service/slow/{room}", timeout = "5s", idempotent)]
    async fn echo(&self, room: u64, text: String) -> Result<Echoed, Problem>;
}"#;
    let (attribute, item) = split(input);
    assert_golden("contract", input, contract::expand(attribute, item));
}

#[test]
fn golden_routes() {
    let input = "const ROUTES: Routes<App> = routes![slow, ..admin::ROUTES];";
    let table = routes::expand(
        "::brubeck; slow, ..admin::ROUTES"
            .parse()
            .expect("the input should be tokens"),
    );
    assert_golden(
        "routes",
        input,
        quote::quote!(const ROUTES: Routes<App> = #table;),
    );
}

#[test]
fn golden_serves() {
    let input = "serves!(ROUTES => slow_echo);";
    assert_golden(
        "serves",
        input,
        routes::expand_serves(
            "::brubeck; ROUTES => slow_echo"
                .parse()
                .expect("the input should be tokens"),
        ),
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
    assert_golden("state", input, state::expand(split(input).1));
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
    assert_golden("template", input, template::expand_in(&folder, split(input).1));
}
