//! The program of README.md, word for word: a service, and the application that calls it.

use brubeck::Service;
use brubeck::prelude::*;
use std::time::Duration;

// ---- a service: slow work, in this process or in another one --------------------------------------
#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(text: Arg<String>) -> Reply {
    tokio::time::sleep(Duration::from_secs(5)).await;
    Reply::empty()
        .field("text", text.0)
        .status(200, "Took a while, but I am back.")
}

const SERVICE: Routes<()> = routes![slow];

// ---- the application that calls it -----------------------------------------------------------
#[get("^/sync")] // waits for the response; the runtime serves other requests in the meantime
async fn sync(services: Services) -> Result<String, Problem> {
    let service = services.register("ipc://run/slow", "my_shared_secret")?;
    let response = service.request("/service/slow").argument("text", "hello").await?;
    Ok(response.body["text"].to_string())
}

#[get("^/async")] // returns at once
async fn nowait(services: Services) -> Result<&'static str, Problem> {
    let service = services.register("ipc://run/slow", "my_shared_secret")?;
    service
        .request("/service/slow")
        .argument("text", "hello")
        .nowait();
    Ok("on its way")
}

#[response_handler("^/service/slow")] // runs when the response of a `nowait` call arrives
async fn on_slow(response: ServiceResponse) {
    tracing::info!(status = %response.status, "the service responded");
}

#[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$")] // captures bind by name; an optional group is an `Option`
async fn user(id: u64, tab: Option<String>) -> Json<(u64, Option<String>)> {
    Json((id, tab))
}

const WEB: Routes<()> = routes![on_slow, sync, nowait, user];

#[tokio::main]
async fn main() -> brubeck::Result {
    tracing_subscriber::fmt::init();
    let service = App::new(SERVICE, ())
        .start(Service::bind("ipc://run/slow", "my_shared_secret"))
        .await?;
    // or behind Mongrel2: .serve(Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998"))
    App::new(WEB, ()).serve(Http::bind("127.0.0.1:6767")).await?;
    service.stop().await
}
