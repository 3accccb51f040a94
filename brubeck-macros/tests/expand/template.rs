// #[derive(Template)]
// #[template("success.html")]
// struct Success {
//     name: String,
// }

#[automatically_derived]
#[allow(deprecated)]
impl ::brubeck::__private::Template for Success {
    const NAME: &'static str = "success.html";
    const SOURCES: &'static [(&'static str, &'static str)] = &[
        (
            "success.html",
            ::core::include_str!(
                ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"),
                "/templates/success.html")
            ),
        ),
    ];
    fn context(&self) -> ::brubeck::__private::Value {
        ::brubeck::__private::variables(
            "Success",
            [("name", ::brubeck::__private::variable(&self.name))],
        )
    }
}
