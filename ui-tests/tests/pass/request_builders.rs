#![deny(warnings)]
use brubeck::{Method, ServiceRequest};
use brubeck::prelude::*;

#[service_handler(path = r"^/service/(?<name>[^/]+)/(?<id>\d+)$", method = "get")]
async fn written(id: u64, name: String, text: Arg<String>, Json(list): Json<Vec<u8>>, maybe: Option<Arg<u8>>, headers: Headers) {
    drop((id, name, text, list, maybe, headers));
}

#[service_handler(path = r"^/service/(?:a|b)$")]
async fn not_written(text: Arg<String>) {
    drop(text);
}

#[service_handler("^/service/plain")]
async fn plain() {}

fn main() {
    let request: ServiceRequest = written::request("a/b".to_owned(), 7u64).text("hi").list(vec![1, 2]).maybe(3u8).into();
    assert_eq!((request.path(), request.method()), ("/service/a%2Fb/7", Method::Get));
    assert_eq!(request.arguments().len(), 2);
    assert_eq!(&request.body_text()[..], b"[1,2]");
    let request: ServiceRequest = not_written::request("/service/a").text(String::new()).into();
    assert_eq!(request.path(), "/service/a");
    let request: ServiceRequest = plain::request().into();
    assert_eq!(request.path(), "/service/plain");
}
