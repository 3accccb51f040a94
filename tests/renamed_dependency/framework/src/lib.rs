//! A framework that has brubeck as `quartet` in Cargo.toml, and re-exports it.

// One line for all attributes of a crate, instead of the key `crate`.
extern crate quartet as brubeck;

pub use quartet;

use quartet::prelude::*;

/// A contract, which an application serves that has brubeck under yet another name.
#[service_client]
pub trait Doubler {
    /// Doubles a number.
    #[call("/double/{number}")]
    async fn double(&self, number: u32) -> Result<u32, Problem>;
}

/// A page that says how the service is.
#[get("^/health$")]
pub async fn health() -> &'static str {
    "well"
}

/// The routes of the framework.
pub const ROUTES: Routes<()> = routes![health];

/// Defines a page with a text. It works in a crate that does not depend on brubeck.
#[macro_export]
macro_rules! text_page {
    ($name:ident, $path:literal, $text:literal) => {
        /// A page with a text.
        #[$crate::quartet::get($path, crate = $crate::quartet)]
        pub async fn $name() -> &'static str {
            $text
        }
    };
}

/// Defines a contract with one operation, and its handler.
#[macro_export]
macro_rules! constant_service {
    ($name:ident, $operation:path, $function:ident, $path:literal, $value:expr) => {
        /// A contract with one operation.
        #[$crate::quartet::service_client(crate = $crate::quartet)]
        pub trait $name {
            /// Returns a number.
            #[call($path)]
            async fn $function(&self) -> Result<u32, $crate::quartet::Problem>;
        }

        /// Serves the contract.
        #[$crate::quartet::service_handler($operation, crate = $crate::quartet)]
        pub async fn $function() -> Result<u32, $crate::quartet::Problem> {
            Ok($value)
        }
    };
}

/// Lists routes.
#[macro_export]
macro_rules! list {
    ($($route:path),* $(,)?) => {
        $crate::quartet::routes![$($route),*]
    };
}
