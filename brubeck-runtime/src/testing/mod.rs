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
//! async fn user(id: u64) -> Result<Json<String>, Problem> {
//!     if id == 7 { Ok(Json("Dave".into())) } else { Err(Status::NOT_FOUND.into()) }
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
//! timeouts and its limits for connections and headers do not apply. In a test with `#[tokio::test(start_paused = true)]`, sleeping and timeouts
//! take no real time.
//!
//! What takes longer than a request and a response is tested step by step:
//!
//! | handler | test |
//! |---|---|
//! | [`WebSocket`](crate::WebSocket), [`Broadcast`](crate::Broadcast) | `TestClient::websocket` (feature `http`) |
//! | a message socket, [`SocketSender`](crate::SocketSender) | `TestClient::message_socket` (feature `mongrel2`) |
//! | [`Events`](crate::Events) | [`TestRequest::events`] |
//! | [`Upload`](crate::Upload), a body that comes slowly or breaks off | [`TestRequest::in_pieces`] |
//! | another stream | [`TestRequest::stream`] |

mod client;
mod cookie_jar;
mod events;
mod form;
#[cfg(feature = "mongrel2")]
mod message_socket;
mod patience;
mod request;
mod response;
mod set_cookie;
#[cfg(feature = "services")]
mod site;
mod sockets;
mod upload;
#[cfg(feature = "http")]
mod websocket;

pub use client::TestClient;
pub use events::{TestEvent, TestEvents};
pub use form::TestForm;
#[cfg(feature = "mongrel2")]
#[cfg_attr(docsrs, doc(cfg(feature = "mongrel2")))]
pub use message_socket::TestMessageSocket;
pub use request::TestRequest;
pub use response::TestResponse;
#[cfg(feature = "services")]
#[cfg_attr(docsrs, doc(cfg(feature = "services")))]
pub use site::{TestSite, TestSiteHandle};
pub use upload::TestUpload;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use websocket::{TestHandshake, TestWebSocket};
