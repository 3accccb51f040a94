use brubeck::prelude::*;

#[get("^/$")]
async fn page(_uri: Axum<String>) -> &'static str {
    "hello"
}

fn main() {
    let _ = App::new(routes![page], ());
}
