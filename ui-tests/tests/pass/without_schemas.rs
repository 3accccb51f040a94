//! Without the feature `schema`, types need no `JsonSchema`.

use brubeck::{Service, ServiceAddress, TestSite};
use brubeck::prelude::*;

mod text {
    pub type Text = brubeck::Arg<String>;
}

#[derive(serde::Serialize, serde::Deserialize)]
pub struct Count(u64);

#[service_handler(path = "^/shout/(?<letter>[a-z])$")]
async fn shout(letter: char, text: text::Text, Json(_count): Json<self::Count>) -> Result<Json<Count>, Problem> {
    Ok(Json(Count(text.0.matches(letter).count() as u64)))
}

#[service_handler(path = "^/unnamed$")]
async fn unnamed() -> impl IntoReply {
    Json(7)
}

const ROUTES: Routes<()> = routes![shout, unnamed];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = ServiceAddress::new("ipc://shout", "secret");
    let service = Service::bind("ipc://shout", "secret");
    let site = TestSite::new(routes![], ()).service(service, App::new(ROUTES, ())).start().await.unwrap();
    let info = site.client(&address).unwrap().request("/.brubeck/info").await.unwrap();
    for operation in info.body["operations"].as_array().unwrap() {
        let mut keys: Vec<_> = operation.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["blocking", "captures", "concurrency", "example", "method", "name", "path"]);
    }
    site.stop().await;
}
