// #[get("index")]
// async fn index() -> &'static str {
//     "hello"
// }

#[allow(unused_variables)]
async fn index() -> &'static str {
    "hello"
}
#[doc(hidden)]
#[allow(non_camel_case_types, dead_code)]
enum index {}
impl ::brubeck::__private::Routed for index {
    const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::BROKEN;
}
impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S>
for index {
    fn handle(_: ::brubeck::__private::Context<__S>) -> ::brubeck::__private::BoxFuture {
        ::brubeck::__private::broken()
    }
}
::core::compile_error! {
    "a path begins with `/`, or with `^` if it is a regex\n    index\n    ^\nhelp: write `/index` or `^/index$`"
}
