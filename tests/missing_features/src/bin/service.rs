use brubeck::Service;
use brubeck::prelude::*;

fn main() {
    let service = Service::bind("ipc://run/slow", "my_shared_secret").concurrency(4);
    let _ = App::new(routes![], ()).also(service);
}
