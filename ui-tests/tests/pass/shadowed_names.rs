#![allow(dead_code, non_camel_case_types, unused_imports)]
use brubeck::prelude::*;

mod brubeck_is_not_the_crate {}
struct Result;
struct Option;
struct String;
struct Box;
struct Vec;
struct Clone;
struct Send;
enum Out {
    Ok,
    Err,
    Some,
    None,
}
use Out::*;
mod core {}
mod std {}

#[get(r"^/(?<id>\d+)$")]
async fn index(id: u64, text: Text) -> &'static str {
    let _ = (id, text);
    "shown"
}

#[service_handler("^/service/(?<id>[0-9]+)$")]
async fn service(id: u64, text: Arg<u8>) {
    let _ = (id, text);
}

#[service_client]
trait Contract {
    #[call("/slow/{id}")]
    async fn slow(&self, id: u64) -> ::std::result::Result<u8, Problem>;
}

const ROUTES: Routes<()> = routes![index, service];

fn main() {
    assert_eq!(ROUTES.len(), 2);
}
