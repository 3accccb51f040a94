//! A library with handlers, for test cases that need two crates. The test cases are in `tests/`.

use brubeck::prelude::*;

/// The request and response of `slow`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Echo {
    /// The text.
    pub text: String,
}

/// Returns the request.
#[service_handler(path = "^/service/slow", method = "request")]
pub async fn slow(body: Json<Echo>) -> Json<Echo> {
    body
}

/// Lists the services.
#[get("^/service")]
pub async fn service_index() -> &'static str {
    "services"
}

/// A table that other tables nest.
pub mod admin {
    use brubeck::prelude::*;

    /// Lists the users.
    #[get("^/admin/users")]
    pub async fn users() -> &'static str {
        "users"
    }

    /// All other paths of the module.
    #[get("^/admin")]
    pub async fn index() -> &'static str {
        "admin"
    }

    /// The routes of this module.
    pub const ROUTES: Routes<()> = routes![users, index];
}

/// A contract with two operations.
pub mod contract {
    use brubeck::prelude::*;

    /// The response of both operations.
    #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
    pub struct Echoed {
        /// The text.
        pub text: String,
    }

    /// The slow service.
    #[service_client]
    pub trait SlowEcho {
        /// Returns the text.
        #[call("/service/slow")]
        async fn echo(&self, text: String) -> Result<Echoed, Problem>;

        /// Returns the name of a user.
        #[call("/service/user/{id}")]
        async fn user(&self, id: u32) -> Result<Echoed, Problem>;
    }
}
