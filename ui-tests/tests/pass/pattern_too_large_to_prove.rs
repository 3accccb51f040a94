#![deny(warnings)]
use brubeck::prelude::*;

#[get(r"^/(?<key>(?:[a-z]{1,30}[0-9]{1,30}){1,40})$")]
async fn large(key: String) {
    drop(key);
}
#[get(r"^/a$")]
async fn behind() {}

const ROUTES: Routes<()> = routes![large, behind];

fn main() {
    assert_eq!(ROUTES.specs().next().unwrap().example, "");
    ROUTES.check().unwrap();
}
