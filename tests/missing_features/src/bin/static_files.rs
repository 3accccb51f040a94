use brubeck::prelude::*;

fn main() {
    let _ = App::new(routes![], ()).files("/static", "static").body_limit(100);
}
