use brubeck::prelude::*;

#[get("^/number$", crate = 5)]
async fn number() {}

#[post("^/text$", crate = "not a path")]
async fn text() {}

#[service_client(crate)]
trait Contract {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

#[derive(AppState)]
#[state(crate: jazz)]
struct App {
    name: String,
}

fn main() {}
