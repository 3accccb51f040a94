use brubeck::prelude::*;

#[post("^/$")]
async fn page(body: AxumBody<String>) -> String {
    body.to_uppercase()
}

fn main() {
    let _ = App::new(routes![page], ());
}
