#![deny(warnings)]
use brubeck::prelude::*;

#[get("^/user/(?<id>[0-9]+)$")]
async fn read(id: u64) {
    let _ = id;
}
#[get("^/user")]
async fn all() {}
// The same pattern as `read`, so it is part of that resource, which is listed before `all`.
#[delete("^/user/(?<id>[0-9]+)$")]
async fn remove(id: u64) {
    let _ = id;
}
#[service_handler(path = "^/user/(?<id>[0-9]+)$", method = "delete")]
async fn remove_by_service(id: u64) {
    let _ = id;
}

const ROUTES: Routes<()> = routes![read, all, remove, remove_by_service];

fn main() {
    ROUTES.check().unwrap();
}
