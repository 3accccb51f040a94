use brubeck::prelude::*;

#[derive(Template)]
#[template("page.html")]
struct Shop {
    name: String,
}

#[get("^/$")]
async fn shop() -> Page<Shop> {
    Page(Shop { name: String::new() })
}

fn main() {
    let _ = App::new(routes![shop], ());
}
