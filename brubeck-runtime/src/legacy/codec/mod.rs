//! The codec of the dialects of the Python original: requests of an application and responses of a service.
//!
//! | dialect | used by | sockets |
//! |---|---|---|
//! | [`Seed`](Dialect::Seed) | Brubeck Services as first published | DEALER to ROUTER |
//! | [`Branch`](Dialect::Branch) | the branch `brubeck-service` of Brubeck Services | DEALER to ROUTER |
//! | [`Pypi`](Dialect::Pypi) | `brubeck-service` 0.0.9 | PUSH to PULL, ROUTER to DEALER |
//! | [`Pypi01x`](Dialect::Pypi01x) | `brubeck-service` 0.1.1 to 0.1.4 | as `Pypi` |
//!
//! A payload has three parts: the sender and a space, then the envelope, then the tail. The envelope consists of fields, each a
//! [`lenstr`](crate::codec::lenstr) that is followed by one space. The tail consists of lenstr without separators. The dialects
//! differ in their fields. A service detects the dialect of a request from the envelope, and responds in the same dialect.
//!
//! ```
//! use brubeck_runtime::wire::service::{Dialect, LegacyRequest, LegacyResponse, Secret, decode_request, decode_response};
//! use brubeck_runtime::wire::service::{encode_request, encode_response};
//! use bytes::Bytes;
//!
//! // An application sends a request ...
//! let mut request = LegacyRequest::new(Dialect::Branch, "42", "/service/slow", "request");
//! request.envelope.passphrase = Secret::new("my_shared_secret");
//! request.body = br#"{"text":"hello"}"#.as_slice().into();
//! let payload = encode_request(&request)?;
//!
//! // ... the ROUTER of the service prepends the identity of the application ...
//! let request = decode_request(&[Bytes::from_static(b"application-1"), payload])?;
//! assert_eq!(request.envelope.dialect, Dialect::Branch);
//! assert!(request.envelope.passphrase.matches(b"my_shared_secret"));
//! assert_eq!(request.body.object()?["text"], "hello");
//!
//! // ... and removes it from the response.
//! let mut response = LegacyResponse::to(&request.envelope, 200, "Took a while.");
//! response.body = br#"{"text":"hello"}"#.as_slice().into();
//! let [identity, delimiter, payload] = encode_response(&response)?;
//! assert_eq!(identity, "application-1");
//! let response = decode_response(Dialect::Branch, &[delimiter, payload])?;
//! assert!(response.answers(&request.envelope));
//! assert_eq!((response.status_code, response.status_msg.as_str()), (200, "Took a while."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dialect;
mod envelope;
mod error;
mod json;
mod request;
mod response;

pub use crate::rpc::api::{Dialect, Origin};
pub use crate::secret::Secret;
pub use envelope::{LegacyEnvelope, Times, Timestamp};
pub use error::LegacyDecodeError;
pub use json::{JsonText, NotAnObject};
pub use request::{LegacyRequest, decode_pull_request, decode_request, encode_request};
pub use response::{LegacyResponse, decode_response, encode_response};
