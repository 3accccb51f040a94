#![no_implicit_prelude]
#![deny(warnings)]

use ::brubeck::prelude::{AppState, Arg, Args, Problem, Json, Page, Routes, State, Template};
use ::brubeck::prelude::{get, response_handler, routes, serves, service_client, service_handler};

#[derive(::std::clone::Clone)]
struct Db;

#[derive(::std::clone::Clone, AppState)]
struct App {
    db: Db,
    client: ContractClient,
}

#[derive(Template)]
#[template("success.html")]
struct Success {
    name: ::std::string::String,
}

#[get(r"^/(?<id>\d+)(?:/(?<tab>x))?$")]
async fn index(id: u8, tab: ::std::option::Option<::std::string::String>, db: State<Db>) -> Page<Success> {
    let _ = (id, tab, db);
    Page(Success { name: ::std::string::String::new() })
}

#[service_handler(path = r"^/old/(?<id>\d+)$")]
async fn old(id: u8, text: Arg<::std::string::String>, body: Json<u8>) -> Json<u8> {
    let _ = (id, text);
    body
}

#[service_client]
trait Contract {
    #[call("/slow/{id}", timeout = "1s")]
    async fn slow(&self, id: u8, text: ::std::string::String) -> ::std::result::Result<u8, Problem>;
}

#[service_handler(contract::slow)]
async fn slow(args: Args<contract::slow>) -> ::std::result::Result<u8, Problem> {
    ::std::result::Result::Ok(args.0.id)
}

#[response_handler(contract::slow)]
async fn on_slow() {}

#[get("^/call")]
async fn call(client: ContractClient) {
    let _ = client.slow(1, ::std::string::String::new()).handled_by::<on_slow>().await;
    let _ = old::request(1u8).text("x").body(1u8);
}

const ROUTES: Routes<App> = routes![index, old, slow, on_slow, call];
serves!(ROUTES => contract);

fn main() {
    ::std::assert!(!ROUTES.is_empty());
}
