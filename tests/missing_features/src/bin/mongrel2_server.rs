use brubeck::{Mongrel2Config, Mongrel2Handler};
use brubeck::prelude::*;

fn main() {
    let handler = Mongrel2Handler::new("ipc://run/send", "ipc://run/recv");
    let _ = Mongrel2Config::bind("127.0.0.1:6767").handler("/", handler).start();
}
