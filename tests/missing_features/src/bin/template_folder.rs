use brubeck::prelude::*;

fn main() {
    let _ = App::new(routes![], ()).templates("templates").body_limit(100);
}
