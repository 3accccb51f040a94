//! A library with handlers, for the cases that are about two crates. The cases themselves: `tests/`.

use brubeck::prelude::*;

/// What `slow` is asked and answers.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Echo {
    /// The text.
    pub text: String,
}

/// Says it back.
#[service_handler(path = "^/service/slow", method = "request")]
pub async fn slow(body: Json<Echo>) -> Json<Echo> {
    body
}

/// Lists the services.
#[get("^/service")]
pub async fn service_index() -> &'static str {
    "services"
}

/// A table to list within another.
pub mod admin {
    use brubeck::prelude::*;

    /// Who may come in.
    #[get("^/admin/users")]
    pub async fn users() -> &'static str {
        "users"
    }

    /// Everything else.
    #[get("^/admin")]
    pub async fn index() -> &'static str {
        "admin"
    }

    /// The routes of this module.
    pub const ROUTES: Routes<()> = routes![users, index];
}

/// A contract.
pub mod contract {
    use brubeck::prelude::*;

    /// What was said.
    #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
    pub struct Echoed {
        /// The text.
        pub text: String,
    }

    /// The slow service.
    #[service_client]
    pub trait SlowEcho {
        /// Says it back, late.
        #[call("/service/slow")]
        async fn echo(&self, text: String) -> Result<Echoed, Fault>;

        /// Says who it is.
        #[call("/service/user/{id}")]
        async fn user(&self, id: u32) -> Result<Echoed, Fault>;
    }
}
