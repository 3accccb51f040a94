//! Tools for testing an application without sockets.
//!
//! [`TestClient`] sends web requests to one application. [`TestSite`] also runs the services that the application calls.
//!
//! # Examples
//!
//! ```
//! use brubeck::prelude::*;
//! use brubeck::testing::TestClient;
//!
//! #[get(r"^/user/(?<id>\d+)$")]
//! async fn user(id: u64) -> Result<Json<String>, NotFound> {
//!     if id == 7 { Ok(Json("Dave".into())) } else { Err(NotFound) }
//! }
//!
//! const ROUTES: Routes<()> = routes![user];
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let client = TestClient::new(App::new(ROUTES, ()));
//!
//! client.get("/user/7").await.assert_status(200).assert_json("Dave");
//! client.get("/user/8").await.assert_status(404);
//! client.post("/user/7").await.assert_status(405).assert_header("allow", "GET, HEAD, OPTIONS");
//! # }
//! ```
//!
//! A request passes everything in the application, such as layers, hooks and limits. There is no server in between: its
//! timeouts and its limits for connections and headers do not apply, and a WebSocket cannot be opened. In a test with
//! `#[tokio::test(start_paused = true)]`, sleeping and timeouts take no real time.

mod client;
mod form;
mod request;
mod response;
#[cfg(feature = "services")]
mod site;

pub use client::TestClient;
pub use form::TestForm;
pub use request::TestRequest;
pub use response::TestResponse;
#[cfg(feature = "services")]
pub use site::{TestSite, TestSiteHandle};
