use brubeck::{Dialect, ServiceAddress};
use brubeck::prelude::*;

fn main() {
    let _ = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
        .dialect(Dialect::Pypi)
        .responses_at("ipc://run/slow_response");
}
