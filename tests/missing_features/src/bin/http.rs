use brubeck::prelude::*;
use std::time::Duration;

fn with_limits(server: Http) -> Http {
    server.max_connections(100).body_timeout(Duration::from_secs(5))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> brubeck::Result {
    let _ = with_limits;
    let app = App::new(routes![], ());
    app.serve(Http::bind("127.0.0.1:0").max_connections(100).tls("chain.pem", "key.pem")).await
}
