//! Signatures become routes, or are told what is wrong with them.

use super::Marker;
use super::lower::{Route, Source, Target, lower};
use crate::attribute::Attribute;
use crate::error::Errors;
use crate::item::ItemFn;
use crate::method::Kind;
use proc_macro2::TokenStream;
use quote::quote;

/// The route, and every mistake.
fn lowered(marker: Marker, attribute: TokenStream, item: TokenStream) -> (Option<Route>, Vec<String>) {
    let errors = Errors::default();
    let attribute = Attribute::parse(marker.name, attribute, &errors);
    let function: ItemFn = syn::parse2(item).expect("a function");
    let route = lower(marker, &attribute, &function, &errors);
    (route, texts(errors))
}

fn texts(errors: Errors) -> Vec<String> {
    let file: syn::File = syn::parse2(errors.into_tokens()).expect("errors");
    let text = |item: syn::Item| match item {
        syn::Item::Macro(error) => error.mac.parse_body::<syn::LitStr>().expect("a text").value(),
        _ => panic!("only errors"),
    };
    file.items.into_iter().map(text).collect()
}

fn route(marker: Marker, attribute: TokenStream, item: TokenStream) -> Route {
    let (route, errors) = lowered(marker, attribute, item);
    assert_eq!(errors, Vec::<String>::new());
    route.expect("a route")
}

fn mistakes(marker: Marker, attribute: TokenStream, item: TokenStream) -> Vec<String> {
    lowered(marker, attribute, item).1
}

fn sources(route: &Route) -> Vec<&'static str> {
    let source = |source: &Source| match source {
        Source::Capture { index: 0 } => "capture 0",
        Source::Capture { .. } => "capture",
        Source::OptionalCapture { index: 1, .. } => "optional capture 1",
        Source::OptionalCapture { .. } => "optional capture",
        Source::Message => "message",
    };
    route
        .arguments
        .iter()
        .map(|argument| source(&argument.source))
        .collect()
}

#[test]
fn arguments_bind_by_name_to_captures_and_by_type_to_the_rest() {
    let route = route(
        Marker::verb("get"),
        quote!(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$"),
        quote!(
            async fn user(db: State<Db>, tab: Option<String>, Query(page): Query<Page>, id: u64) {}
        ),
    );
    assert_eq!(
        sources(&route),
        ["message", "optional capture 1", "message", "capture 0"]
    );
    let names: Vec<_> = route
        .arguments
        .iter()
        .map(|argument| argument.name.as_deref())
        .collect();
    assert_eq!(names, [Some("db"), Some("tab"), Some("page"), Some("id")]);
}

#[test]
fn methods_and_kinds_come_from_the_attribute() {
    let told = |marker, attribute| {
        let route = route(
            marker,
            attribute,
            quote!(
                async fn a() {}
            ),
        );
        let Target::Pattern { method, .. } = route.target else {
            panic!("a pattern");
        };
        (route.kind, method)
    };
    let own = |kind, method: &str| (kind, method.to_owned());
    assert_eq!(told(Marker::WEB, quote!("^/")), own(Kind::Web, "get"));
    assert_eq!(told(Marker::verb("patch"), quote!("^/")), own(Kind::Web, "patch"));
    assert_eq!(told(Marker::SERVICE, quote!("^/")), own(Kind::Service, "request"));
    assert_eq!(
        told(Marker::SERVICE, quote!("^/", method = "put")),
        own(Kind::Service, "put")
    );
    assert_eq!(
        told(Marker::RESPONSE, quote!("^/")),
        own(Kind::Response, "response")
    );
    let response = told(Marker::SERVICE, quote!("^/", method = "response"));
    assert_eq!(response, own(Kind::Response, "response"));
}

#[test]
fn operations_stand_for_path_and_method() {
    let served = route(
        Marker::SERVICE,
        quote!(echo::say),
        quote!(
            async fn say(ask: Args<echo::say>) {}
        ),
    );
    assert!(matches!(served.target, Target::Operation(_)));
    let with_method = mistakes(
        Marker::SERVICE,
        quote!(echo::say, method = "get"),
        quote!(
            async fn say() {}
        ),
    );
    assert_eq!(
        with_method,
        ["the contract already says the path and the method of its operation"]
    );
    let by_web = mistakes(
        Marker::verb("get"),
        quote!(echo::say),
        quote!(
            async fn say() {}
        ),
    );
    assert!(by_web.len() == 1 && by_web[0].starts_with("browsers do not call contracts"));
}

#[test]
fn handlers_that_block_are_plain_functions() {
    let blocking = route(
        Marker::SERVICE,
        quote!("^/", blocking, concurrency = 2),
        quote!(
            fn a() {}
        ),
    );
    assert!(blocking.blocking && blocking.concurrency.is_some());
    let is_async = mistakes(
        Marker::SERVICE,
        quote!("^/", blocking),
        quote!(
            async fn a() {}
        ),
    );
    assert_eq!(
        is_async,
        ["a handler that blocks a thread is a plain `fn`\nhelp: write `fn a`, or leave `blocking` out"]
    );
    let plain = mistakes(
        Marker::verb("get"),
        quote!("^/"),
        quote!(
            fn a() {}
        ),
    );
    assert_eq!(plain, ["a handler is an `async fn`\nhelp: write `async fn a`"]);
}

#[test]
fn captures_and_arguments_agree_both_ways() {
    let told = |pattern: &str, item| mistakes(Marker::verb("get"), quote!(#pattern), item);
    assert_eq!(
        told(
            r"^/(?<id>\d+)",
            quote!(
                async fn user(idx: u64) {}
            )
        ),
        ["capture `id` is no argument of `user`\nhelp: the argument `idx` is close; use one name for both"]
    );
    assert_eq!(
        told(
            r"^/(?<id>\d+)?",
            quote!(
                async fn user(id: u64) {}
            )
        ),
        ["capture `id` may be absent from a matching path, so this is an `Option<u64>`"]
    );
    assert_eq!(
        told(
            r"^/(?<id>\d+)",
            quote!(
                async fn user(id: Option<u64>) {}
            )
        ),
        [
            "capture `id` is in every matching path, so this is a `u64`\nhelp: or make the group optional, \
          `(?:(?<id>...))?`"
        ]
    );
}

#[test]
fn raw_identifiers_bind_by_the_name_they_stand_for() {
    let route = route(
        Marker::verb("get"),
        quote!("^/(?<type>[a-z]+)$"),
        quote!(
            async fn r#match(r#type: String) {}
        ),
    );
    assert_eq!(sources(&route), ["capture 0"]);
}

#[test]
fn all_mistakes_of_an_item_are_told_at_once() {
    let told = mistakes(
        Marker::SERVICE,
        quote!(path = r"^/(\d+)", metod = "get", method = "brew"),
        quote!(
            unsafe fn a<T>(&self, body: impl Sized, name: &str, #[cfg(unix)] more: Text) {}
        ),
    );
    let starts = [
        "unknown argument `metod`",
        "a handler is an `async fn`",
        "a handler is a safe function",
        "a handler cannot be generic",
        "unknown method \"brew\"",
        "this group captures without a name",
        "a handler is a free function",
        "a handler cannot be generic",
        "an argument cannot come and go",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (text, start) in told.iter().zip(starts) {
        assert!(text.starts_with(start), "{text}");
    }
}
