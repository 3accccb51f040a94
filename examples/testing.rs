//! Tests an application together with the service that it calls, without sockets and without waiting.
//!
//! `cargo test --example testing` runs the test. As a program, the example makes the same request in real time.

use brubeck::prelude::*;
use brubeck::{Service, TestSite, TestSiteHandle};
use std::time::Duration;

const SLOW: &str = "ipc://run/slow";
const SECRET: &str = "my_shared_secret";

// ---- the application: a service, the page that calls it, and the response handler ----------------

#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(text: Arg<String>) -> Json<String> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Json(text.0)
}

#[response_handler("^/service/slow")]
async fn on_slow(reply: ServiceResponse<String>) -> usize {
    reply.body.len()
}

#[get("^/service/sync$")]
async fn call_sync(services: Services) -> Result<String, CallError> {
    let slow = services.register(SLOW, SECRET)?;
    let (reply, handled) = slow
        .request("/service/slow")
        .argument("text", "hello")
        .handled()
        .await?;
    let length = handled.downcast::<usize>().unwrap_or_default();
    Ok(format!("{} has {length} letters", reply.body))
}

const SERVICE: Routes<()> = routes![slow];
const PAGES: Routes<()> = routes![on_slow, call_sync];

// ---- the test -----------------------------------------------------------------------------------

/// Starts the application and the service in memory. The service keeps its address and secret.
async fn start_site() -> brubeck::Result<TestSiteHandle> {
    TestSite::new(PAGES, ())
        .service(Service::bind(SLOW, SECRET), App::new(SERVICE, ()))
        .start()
        .await
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let site = start_site().await?;
    println!("{}", site.browser().get("/service/sync").await.text());
    site.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the paused clock, the delay of two seconds takes no time.
    #[tokio::test(start_paused = true)]
    async fn page_waits_for_the_service_and_its_response_handler() {
        let site = start_site().await.unwrap();
        let page = site.browser().get("/service/sync").await;
        page.assert_status(200).assert_text("\"hello\" has 5 letters");
        site.stop().await;
    }
}
