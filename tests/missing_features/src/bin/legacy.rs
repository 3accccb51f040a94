use brubeck::prelude::*;
use brubeck::legacy;

fn main() {
    let service = legacy::Service::connect("ipc://run/slow", "ipc://run/slow_response", "my_shared_secret");
    let _ = App::new(routes![], ()).also(service.concurrency(4));
}
