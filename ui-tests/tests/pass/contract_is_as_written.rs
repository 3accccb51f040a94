#![deny(warnings, missing_docs)]
//! Every kind of argument and answer.

use brubeck::prelude::*;
use std::collections::HashMap;

/// How it failed.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum Failure {
    /// Too much.
    TooMuch {
        /// At most.
        limit: u32,
    },
}

/// With everything.
#[service_client]
pub trait Everything: Send + Sync {
    /// Nothing to say.
    #[call("/nothing")]
    async fn nothing(&self) -> Result<(), Failure>;
    /// Much to say.
    #[call(path = "/{a}/much.{b}", method = "post", timeout = "250ms")]
    async fn much(&self, list: Vec<HashMap<String, (u8, Option<f64>)>>, b: String, a: i64) -> std::result::Result<Vec<u8>, Failure>;
    /// Only by the way.
    #[call("/option")]
    async fn option(&self, r#type: Option<String>) -> Result<Option<u8>, Fault>;
}

fn main() {
    let names: Vec<_> = everything::OPERATIONS.iter().map(|spec| (spec.pattern, spec.method.as_str())).collect();
    assert_eq!(
        names,
        [("^/nothing$", "request"), (r"^/(?<a>[^/]+)/much\.(?<b>[^/]+)$", "post"), ("^/option$", "request")]
    );
}
