use brubeck::prelude::*;

#[post("^/upload$")]
async fn upload(_form: Multipart) -> &'static str {
    "taken"
}

fn main() {
    let _ = App::new(routes![upload], ());
}
