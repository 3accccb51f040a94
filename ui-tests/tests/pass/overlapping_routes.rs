#![deny(warnings)]
use brubeck::prelude::*;

#[get(r"^/user/me$")]
async fn me() {}
#[get(r"^/user/(?<id>\d+)")]
async fn by_id(id: u64) {
    let _ = id;
}
#[get(r"^/user/(?<name>\w+)$")]
async fn by_name(name: String) {
    drop(name);
}
#[get(r"^/(?i)(?:user|users)/(?s:.)*x$")]
async fn odd() {}
#[get("^/user")]
async fn users() {}
#[get("^/")]
async fn index() {}

const ROUTES: Routes<()> = routes![me, by_id, by_name, odd, users, index];

fn main() {
    ROUTES.check().unwrap();
}
