//! The endings of calls: a service that ends them in every way, and a caller of another version.

mod browsers;
mod errors;

use brubeck::prelude::*;
use std::collections::HashMap;
use std::future::pending;

const SECRET: &str = "my_shared_secret";

/// A text of the service that browsers must not see.
const PRIVATE: &str = "row 17 of the table";

/// More than a body may have here.
const TOO_LONG: usize = 70_000;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Shelf {
    pub boxes: Vec<ShelfBox>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct ShelfBox<T = u8> {
    pub amount: T,
}

/// An error of a contract that is no problem.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    Empty { because: String },
}

/// The contract as the service has it.
mod served {
    use super::*;

    #[service_client]
    pub trait Stock {
        #[call("/stock/value")]
        async fn value(&self) -> Result<u32, Problem>;
        #[call("/stock/fails")]
        async fn fails(&self) -> Result<u32, Problem>;
        #[call("/stock/refuses")]
        async fn refuses(&self) -> Result<u32, Refusal>;
        #[call("/stock/counts")]
        async fn counts(&self, amount: u8) -> Result<u32, Problem>;
        #[call("/stock/panics")]
        async fn panics(&self) -> Result<u32, Problem>;
        #[call("/stock/sleeps")]
        async fn sleeps(&self) -> Result<u32, Problem>;
        #[call("/stock/shelf")]
        async fn shelf(&self) -> Result<HashMap<String, Vec<HashMap<String, String>>>, Problem>;
        #[call("/stock/keys")]
        async fn keys(&self) -> Result<HashMap<(u8, u8), u8>, Problem>;
        #[call("/stock/long")]
        async fn long(&self) -> Result<String, Problem>;
    }
}

/// The contract as a caller of another version has it.
mod called {
    use super::*;

    #[service_client]
    pub trait Stock {
        #[call("/stock/counts")]
        async fn counts(&self, amount: String) -> Result<u32, Problem>;
        #[call("/stock/shelf")]
        async fn shelf(&self) -> Result<Shelf, Problem>;
        #[call("/stock/newer")]
        async fn newer(&self) -> Result<u32, Problem>;
    }
}

struct Store;

impl served::Stock for Store {
    async fn value(&self) -> Result<u32, Problem> {
        Ok(7)
    }

    async fn fails(&self) -> Result<u32, Problem> {
        Err(Problem::new(409, PRIVATE)
            .invalid("amount", PRIVATE)
            .with("row", PRIVATE))
    }

    async fn refuses(&self) -> Result<u32, Refusal> {
        Err(Refusal::Empty {
            because: PRIVATE.into(),
        })
    }

    async fn counts(&self, amount: u8) -> Result<u32, Problem> {
        Ok(amount.into())
    }

    async fn panics(&self) -> Result<u32, Problem> {
        panic!("{PRIVATE}")
    }

    async fn sleeps(&self) -> Result<u32, Problem> {
        pending().await
    }

    async fn shelf(&self) -> Result<HashMap<String, Vec<HashMap<String, String>>>, Problem> {
        let box_of = |amount: &str| HashMap::from([("amount".to_owned(), amount.to_owned())]);
        Ok(HashMap::from([("boxes".to_owned(), vec![box_of(PRIVATE)])]))
    }

    async fn keys(&self) -> Result<HashMap<(u8, u8), u8>, Problem> {
        Ok(HashMap::from([((1, 2), 3)]))
    }

    async fn long(&self) -> Result<String, Problem> {
        Ok("x".repeat(TOO_LONG))
    }
}

const STORE: Routes<Store> = served::stock::routes::<Store>();
