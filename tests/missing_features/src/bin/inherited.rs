use brubeck::prelude::*;

fn main() {
    let _ = App::new(routes![], ()).also(Http::inherited().max_connections(100));
}
