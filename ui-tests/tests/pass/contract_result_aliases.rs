#![deny(warnings, clippy::all)]
//! Aliases of `Result` are resolved by the compiler, and not by their names.
use brubeck::prelude::*;

type Result<T, E = Problem> = std::result::Result<T, E>;

mod results {
    pub type Outcome<T> = std::result::Result<T, brubeck::Problem>;
    pub type Reversed<E, T> = std::result::Result<T, E>;
    pub type Done = Outcome<()>;
}

macro_rules! outcome {
    ($ty:ty) => { Result<$ty> };
}

#[service_client]
pub trait Aliases {
    #[call("/default")]
    async fn default(&self) -> Result<u8>;
    #[call("/other")]
    async fn other(&self) -> Result<u8, String>;
    #[call("/outcome")]
    async fn outcome(&self) -> results::Outcome<u8>;
    #[call("/reversed")]
    async fn reversed(&self) -> results::Reversed<String, u8>;
    #[call("/done")]
    async fn done(&self) -> results::Done;
    #[call("/nested")]
    async fn nested(&self) -> Result<Result<u8, String>>;
}

#[service_handler(aliases::default)]
async fn default() -> Result<u8> {
    Ok(1)
}
#[service_handler(aliases::other)]
async fn other() -> std::result::Result<u8, String> {
    Err(String::new())
}
#[service_handler(aliases::outcome)]
async fn outcome() -> Result<u8> {
    Ok(1)
}
#[service_handler(aliases::reversed)]
async fn reversed() -> Result<u8, String> {
    Ok(1)
}
#[service_handler(aliases::done)]
async fn done() -> outcome!(()) {
    Ok(())
}
#[service_handler(aliases::nested)]
async fn nested() -> Result<Result<u8, String>> {
    Ok(Ok(1))
}
#[response_handler(aliases::reversed)]
async fn on_reversed(response: ServiceResponse<u8>) -> u8 {
    response.body
}

const ROUTES: Routes<()> = routes![default, other, outcome, reversed, done, nested];
serves!(ROUTES => aliases);

fn main() {
    assert_eq!(ROUTES.len(), 6);
    let _ = (on_reversed, |aliases: AliasesClient| async move {
        let body: u8 = aliases.reversed().await.unwrap();
        let error: CallError<String> = aliases.other().await.unwrap_err();
        let error_of_default: CallError = aliases.default().await.unwrap_err();
        drop((body, error, error_of_default));
    });
}
