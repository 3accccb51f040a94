#![deny(warnings, missing_docs)]
//! All kinds of arguments and results.

use brubeck::prelude::*;
use std::collections::HashMap;

/// An error type.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum Failure {
    /// A limit was exceeded.
    TooMuch {
        /// The limit.
        limit: u32,
    },
}

/// The contract.
#[service_client]
pub trait Everything: Send + Sync {
    /// No arguments.
    #[call("/nothing")]
    async fn nothing(&self) -> Result<(), Failure>;
    /// Many arguments.
    #[call(path = "/{a}/much.{b}", method = "post", timeout = "250ms")]
    async fn much(&self, list: Vec<HashMap<String, (u8, Option<f64>)>>, b: String, a: i64) -> std::result::Result<Vec<u8>, Failure>;
    /// Optional values.
    #[call("/option")]
    async fn option(&self, r#type: Option<String>) -> Result<Option<u8>, Problem>;
}

fn main() {
    let names: Vec<_> = everything::OPERATIONS.iter().map(|spec| (spec.pattern, spec.method.as_str())).collect();
    assert_eq!(
        names,
        [("/nothing", "request"), ("/{a}/much.{b}", "post"), ("/option", "request")]
    );
}
