use brubeck::prelude::*;

fn main() {
    let _ = Http::bind("127.0.0.1:0").tls("chain.pem", "key.pem").max_connections(100);
}
