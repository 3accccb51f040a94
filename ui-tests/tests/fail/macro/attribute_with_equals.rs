use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call = "/a"]
    async fn operation(&self) -> Result<(), Problem>;
}

#[derive(AppState)]
struct App {
    #[state = "skip"]
    name: String,
}

#[derive(Template)]
#[template = "success.html"]
struct Success {
    name: String,
}

fn main() {}
