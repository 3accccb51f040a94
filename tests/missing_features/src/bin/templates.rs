use brubeck::prelude::*;

#[derive(Template)]
#[template("page.html")]
struct Shop<'a> {
    name: &'a str,
}

#[get("^/$")]
async fn shop() -> Page<Shop<'static>> {
    Page(Shop { name: "brubeck" })
}

fn main() {
    let _ = App::new(routes![shop], ());
}
