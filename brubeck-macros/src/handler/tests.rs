//! Routes of valid signatures, and errors of invalid ones.

use super::HandlerAttribute;
use super::lower::{Route, Source, Target, lower};
use crate::attribute::HandlerArgs;
use crate::error::Errors;
use crate::item::ItemFn;
use crate::method::Kind;
use proc_macro2::TokenStream;
use quote::quote;

/// Returns the route and the text of every error.
fn lowered(
    attribute: HandlerAttribute,
    args: TokenStream,
    item: TokenStream,
) -> (Option<Route>, Vec<String>) {
    let errors = Errors::default();
    let (args, _) = HandlerArgs::parse(attribute, args, &errors);
    let function: ItemFn = syn::parse2(item).expect("a function");
    let route = lower(attribute, &args, &function, &errors);
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

fn route(attribute: HandlerAttribute, args: TokenStream, item: TokenStream) -> Route {
    let (route, errors) = lowered(attribute, args, item);
    assert_eq!(errors, Vec::<String>::new());
    route.expect("a route")
}

fn mistakes(attribute: HandlerAttribute, args: TokenStream, item: TokenStream) -> Vec<String> {
    lowered(attribute, args, item).1
}

fn sources(route: &Route) -> Vec<&'static str> {
    let source = |source: &Source| match source {
        Source::Capture { index: 0 } => "capture 0",
        Source::Capture { .. } => "capture",
        Source::OptionalCapture { index: 1, .. } => "optional capture 1",
        Source::OptionalCapture { .. } => "optional capture",
        Source::Message => "message",
        Source::CallResult => "result of the call",
    };
    route
        .arguments
        .iter()
        .map(|argument| source(&argument.source))
        .collect()
}

#[test]
fn result_of_a_call_is_an_argument_of_response_handlers_only() {
    let arguments = quote!(
        async fn done(
            result: Result<ServiceResponse<u8>, CallError>,
            of_contract: std::result::Result<ServiceResponse, brubeck::CallError<Refusal>>,
            short: CallResult<u8, Refusal>,
            response: Result<ServiceResponse, Rejection>,
            id: CallId,
        ) {
        }
    );
    assert_eq!(
        sources(&route(
            HandlerAttribute::RESPONSE,
            quote!("/slow"),
            arguments.clone()
        )),
        [
            "result of the call",
            "result of the call",
            "result of the call",
            "message",
            "message"
        ]
    );
    assert_eq!(
        sources(&route(HandlerAttribute::verb("get"), quote!("/slow"), arguments)),
        ["message"; 5]
    );
}

#[test]
fn arguments_bind_by_name_to_captures_and_by_type_otherwise() {
    let route = route(
        HandlerAttribute::verb("get"),
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
    let kind_and_method = |attribute, args| {
        let route = route(
            attribute,
            args,
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
    assert_eq!(
        kind_and_method(HandlerAttribute::WEB, quote!("^/")),
        own(Kind::Web, "get")
    );
    assert_eq!(
        kind_and_method(HandlerAttribute::verb("patch"), quote!("^/")),
        own(Kind::Web, "patch")
    );
    assert_eq!(
        kind_and_method(HandlerAttribute::SERVICE, quote!("^/")),
        own(Kind::Service, "request")
    );
    assert_eq!(
        kind_and_method(HandlerAttribute::SERVICE, quote!("^/", method = "put")),
        own(Kind::Service, "put")
    );
    assert_eq!(
        kind_and_method(HandlerAttribute::RESPONSE, quote!("^/")),
        own(Kind::Response, "response")
    );
    let response = kind_and_method(HandlerAttribute::SERVICE, quote!("^/", method = "response"));
    assert_eq!(response, own(Kind::Response, "response"));
}

#[test]
fn operation_replaces_path_and_method() {
    let served = route(
        HandlerAttribute::SERVICE,
        quote!(echo::say),
        quote!(
            async fn say(ask: Args<echo::say>) {}
        ),
    );
    assert!(matches!(served.target, Target::Operation(_)));
    let with_method = mistakes(
        HandlerAttribute::SERVICE,
        quote!(echo::say, method = "get"),
        quote!(
            async fn say() {}
        ),
    );
    assert_eq!(
        with_method,
        ["the contract already defines the path and the method of its operation\nhelp: remove this"]
    );
}

#[test]
fn web_handler_cannot_serve_an_operation() {
    let by_web = mistakes(
        HandlerAttribute::verb("get"),
        quote!(echo::say),
        quote!(
            async fn say() {}
        ),
    );
    assert!(by_web.len() == 1 && by_web[0].starts_with("a web handler cannot serve an operation"));
}

#[test]
fn blocking_handlers_are_plain_functions_and_others_are_async() {
    let blocking = route(
        HandlerAttribute::SERVICE,
        quote!("^/", blocking, concurrency = 2),
        quote!(
            fn a() {}
        ),
    );
    assert!(blocking.blocking && blocking.concurrency.is_some());
    let is_async = mistakes(
        HandlerAttribute::SERVICE,
        quote!("^/", blocking),
        quote!(
            async fn a() {}
        ),
    );
    assert_eq!(
        is_async,
        [
            "a `blocking` handler must be a plain `fn`: it runs on a thread where it may block\nhelp: write `fn a`, or remove `blocking`"
        ]
    );
    let plain = mistakes(
        HandlerAttribute::verb("get"),
        quote!("^/"),
        quote!(
            fn a() {}
        ),
    );
    assert_eq!(
        plain,
        ["a handler must be an `async fn`\nhelp: write `async fn a`"]
    );
}

#[test]
fn reports_captures_and_arguments_that_disagree() {
    let reported = |pattern: &str, item| mistakes(HandlerAttribute::verb("get"), quote!(#pattern), item);
    assert_eq!(
        reported(
            r"^/(?<id>\d+)",
            quote!(
                async fn user(idx: u64) {}
            )
        ),
        [
            "capture `id` is not an argument of `user`\nhelp: a capture and its argument have the same name: rename `idx` or the capture"
        ]
    );
    assert_eq!(
        reported(
            r"^/(?<id>\d+)?",
            quote!(
                async fn user(id: u64) {}
            )
        ),
        [
            "capture `id` is absent from some matching paths, so its argument must be an `Option`\nhelp: write `Option<u64>`"
        ]
    );
    assert_eq!(
        reported(
            r"^/(?<id>\d+)",
            quote!(
                async fn user(id: Option<u64>) {}
            )
        ),
        [
            "capture `id` is in every matching path, so its argument cannot be an `Option`\nhelp: write `u64`, or make the group \
          optional: `(?:(?<id>...))?`"
        ]
    );
}

#[test]
fn raw_identifiers_bind_without_their_prefix() {
    let route = route(
        HandlerAttribute::verb("get"),
        quote!("^/(?<type>[a-z]+)$"),
        quote!(
            async fn r#match(r#type: String) {}
        ),
    );
    assert_eq!(sources(&route), ["capture 0"]);
}

#[test]
fn reports_all_errors_of_an_item_at_once() {
    let reported = mistakes(
        HandlerAttribute::SERVICE,
        quote!(path = r"^/(\d+)", metod = "get", method = "brew"),
        quote!(
            unsafe fn a<T>(&self, body: impl Sized, name: &str, #[cfg(unix)] more: Text) {}
        ),
    );
    let starts = [
        "unknown key `metod`",
        "a handler must be an `async fn`",
        "a handler must be a safe function",
        "a handler cannot be generic",
        "unknown method \"brew\"",
        "unnamed capture group",
        "a handler must be a free function",
        "a handler cannot be generic",
        "`#[cfg]` is not supported",
    ];
    assert_eq!(reported.len(), starts.len(), "{reported:#?}");
    for (text, start) in reported.iter().zip(starts) {
        assert!(text.starts_with(start), "{text}");
    }
}
