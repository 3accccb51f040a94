use brubeck::prelude::*;

fn main() {
    let _ = App::new(routes![], ()).also(Http::bind("127.0.0.1:0"));
}
