use brubeck::prelude::*;

#[service_handler("^/slow$")]
async fn slow() -> &'static str {
    "done"
}

fn main() {
    let _ = App::new(routes![slow], ());
}
