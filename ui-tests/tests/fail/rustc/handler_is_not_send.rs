#![allow(unused)]
use brubeck::prelude::*;

#[get("^/")]
async fn index() {
    let rc = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(rc);
}

fn main() {}
