#![deny(warnings)]
use brubeck::prelude::*;
use brubeck::{connect, trace};

#[web_handler(path = "^/web", method = "put")]
async fn web() {}
#[web_handler(path = "^/default")]
async fn web_default() {}
#[get("^/verb$")]
async fn get_it() {}
#[post("^/verb$")]
async fn post_it() {}
#[put("^/verb$")]
async fn put_it() {}
#[patch("^/verb$")]
async fn patch_it() {}
#[delete("^/verb$")]
async fn delete_it() {}
#[head("^/verb$")]
async fn head_it() {}
#[options("^/verb$")]
async fn options_it() {}
#[trace("^/verb$")]
async fn trace_it() {}
#[connect("^/verb$")]
async fn connect_it() {}
#[service_handler(path = "^/service", method = "post")]
async fn service() {}
#[service_handler("^/default$")]
async fn service_default() {}
#[response_handler(path = "^/service")]
async fn response() -> u8 {
    7
}
#[service_handler(path = "^/seen", method = "response")]
async fn response_by_method() -> Vec<u8> {
    Vec::new()
}

const ROUTES: Routes<()> = routes![
    web, get_it, post_it, put_it, patch_it, delete_it, head_it, options_it, trace_it, connect_it, service, service_default,
    web_default, response, response_by_method,
];

fn main() {
    let listed: Vec<_> = ROUTES.specs().map(|spec| (spec.name, spec.method.as_str(), format!("{:?}", spec.kind))).collect();
    let listed: Vec<_> = listed.iter().map(|(name, method, kind)| (*name, *method, kind.as_str())).collect();
    assert_eq!(listed[0], ("web", "put", "Web"));
    assert_eq!(listed[11], ("service_default", "request", "Service"));
    assert_eq!(listed[12], ("web_default", "get", "Web"));
    assert_eq!(listed[13], ("response", "response", "Response"));
    assert_eq!(listed[14], ("response_by_method", "response", "Response"));
    ROUTES.check().unwrap();
}
