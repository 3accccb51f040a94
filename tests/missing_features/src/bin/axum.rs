use brubeck::prelude::*;

#[get("^/$")]
async fn page(Axum(uri): Axum<String>) -> String {
    uri.to_uppercase()
}

fn main() {
    let _ = App::new(routes![page], ());
}
