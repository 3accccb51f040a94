use brubeck::prelude::*;

fn main() {
    let server = Mongrel2::new("ipc://run/send", "ipc://run/recv").control("ipc://run/control");
    let _ = App::new(routes![], ()).also(server);
}
