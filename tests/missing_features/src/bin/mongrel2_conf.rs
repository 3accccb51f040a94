use brubeck::prelude::*;

const ROUTES: Routes<()> = routes![];

fn conf(handler: impl Sized) -> brubeck::Result<String> {
    ROUTES.mongrel2_conf("127.0.0.1:6767", handler).conf("web-1", "/var/lib/m2")
}

fn main() {
    let _ = conf(());
}
