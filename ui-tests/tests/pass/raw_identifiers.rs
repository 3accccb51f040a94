#![deny(warnings)]
use brubeck::prelude::*;

#[get(r"^/(?<type>[a-z]+)$")]
async fn r#match(r#type: String) -> String {
    r#type
}

#[service_handler(path = r"^/s/(?<type>[a-z]+)$")]
async fn r#loop(r#type: String, r#fn: Arg<u8>) {
    drop((r#type, r#fn));
}

#[derive(Template)]
#[template("keyword.html")]
struct Keyword {
    r#type: String,
}

#[service_client]
trait Contract {
    #[call("/c/{r}")]
    async fn r#move(&self, r: String, r#type: u8) -> Result<u8, Problem>;
}

const ROUTES: Routes<()> = routes![r#match, r#loop];

fn main() {
    let specs: Vec<_> = ROUTES.specs().map(|spec| (spec.name, spec.captures)).collect();
    assert_eq!(specs, [("match", &["type"][..]), ("loop", &["type"][..])]);
    let request: brubeck::ServiceRequest = r#loop::request("a".to_owned()).r#fn(1u8).into();
    assert_eq!(request.path(), "/s/a");
    assert_eq!(contract::OPERATIONS[0].name, "contract::move");
    let _ = (Page(Keyword { r#type: String::new() }), |client: ContractClient| client.r#move(String::new(), 1).into_request());
}
