use brubeck::prelude::*;

fn main() {
    let _ = App::new(routes![], ()).also(Mongrel2::new("ipc://run/send", "ipc://run/recv"));
}
