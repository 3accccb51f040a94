//! The request of a call, and its named arguments.

use super::Operation;
use super::layer::LayeredCall;
use super::object_writer::JsonObjectWriter;
use crate::json_parts::{self, Written};
use crate::method::Method;
use crate::peer::CalledOperation;
use crate::small_bytes;
use crate::spec::Spec;
use crate::trace::Trace;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A request to a service that has not been sent yet.
///
/// ```
/// use brubeck::{Method, ServiceRequest};
///
/// let request = ServiceRequest::new("/service/slow").argument("RETURN_DATA", "hello").header("x-trace", "7");
/// assert_eq!(request.path(), "/service/slow");
/// assert_eq!(request.method(), Method::Request);
/// ```
///
/// Building a request never fails. The call that sends the request fails with [`Refused`](crate::CallError::Refused) if an
/// argument or the body cannot be serialised as JSON, if the path does not start with `/`, or if a text is too long for the
/// protocol: brubeck's allows 8 KiB of path, and 100 headers of 16 KiB in total.
#[derive(Clone)]
pub struct ServiceRequest {
    pub(crate) path: Cow<'static, str>,
    pub(crate) method: Method,
    /// The operation of a contract.
    pub(crate) operation: Option<DeclaredOperation>,
    /// The arguments in the path of an operation. They are sent by name, too, so that the service need not match the path.
    pub(crate) path_arguments: SmallVec<[(&'static str, String); 1]>,
    /// The routes of all operations of the contract.
    contract_routes: &'static [&'static Spec],
    pub(crate) arguments: JsonObjectWriter,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Bytes,
    /// The bytes to which the arguments and the body refer; see `json_parts`.
    pub(crate) parts: Vec<Bytes>,
    pub(crate) idempotent: bool,
    pub(crate) hops: u8,
    pub(crate) trace: Option<Trace>,
    /// The call that the request makes, if its client has layers.
    pub(super) layered: Option<Arc<LayeredCall>>,
    /// The first reason why the request cannot be sent.
    invalid: Option<String>,
}

/// The operation of a contract that a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeclaredOperation {
    pub(crate) name: &'static str,
    /// The digest of the declaration.
    pub(crate) contract: u64,
    pub(crate) declaration: &'static str,
}

impl DeclaredOperation {
    const fn of(spec: &Spec) -> DeclaredOperation {
        DeclaredOperation {
            name: spec.operation,
            contract: spec.contract,
            declaration: spec.declaration,
        }
    }
}

impl ServiceRequest {
    /// Creates a request to `path` with the method [`Method::Request`].
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow");
    /// ```
    pub fn new(path: impl Into<String>) -> ServiceRequest {
        ServiceRequest::to(path.into())
    }

    /// As [`new`](ServiceRequest::new), but does not copy a static path.
    #[doc(hidden)]
    pub fn to(path: impl Into<Cow<'static, str>>) -> ServiceRequest {
        ServiceRequest {
            path: path.into(),
            method: Method::Request,
            operation: None,
            path_arguments: SmallVec::new(),
            contract_routes: &[],
            arguments: JsonObjectWriter::default(),
            headers: Map::new(),
            body: Bytes::new(),
            parts: Vec::new(),
            idempotent: false,
            hops: 0,
            trace: None,
            layered: None,
            invalid: None,
        }
    }

    /// Sets the method. The default is [`Method::Request`].
    ///
    /// ```
    /// use brubeck::{Method, ServiceRequest};
    ///
    /// let request = ServiceRequest::new("/service/slow").with_method(Method::Get);
    /// assert_eq!(request.method(), Method::Get);
    /// ```
    ///
    /// It selects the handler of the path: [`#[service_handler("..", method = "get")]`](../brubeck/attr.service_handler.html). The response of a service is 405 if no handler of
    /// the path has the method, and 400 for [`Method::Response`].
    pub fn with_method(mut self, method: Method) -> ServiceRequest {
        self.method = method;
        self
    }

    /// Sets a named argument, replacing an argument of the same name.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow").argument("width", 200);
    /// assert_eq!(request.arguments()["width"], 200);
    /// ```
    pub fn argument(self, name: impl Into<String>, value: impl Serialize) -> ServiceRequest {
        let name = Cow::Owned(name.into());
        let write =
            |text: &mut Vec<u8>, parts: &mut Vec<Bytes>| json_parts::write_borrowed(text, parts, &value);
        self.write_argument(name, write, |_, _| Ok(()))
    }

    /// As [`argument`](ServiceRequest::argument), but does not copy bytes that are the whole value, and checks with `read` that a value with
    /// a 128-bit integer can be read.
    pub(crate) fn set_argument<T: Serialize + 'static>(
        self,
        name: &'static str,
        value: T,
        read: fn(&[u8], &[Bytes]) -> serde_json::Result<()>,
    ) -> ServiceRequest {
        let write = |text: &mut Vec<u8>, parts: &mut Vec<Bytes>| json_parts::write_owned(text, parts, value);
        self.write_argument(Cow::Borrowed(name), write, read)
    }

    fn write_argument(
        mut self,
        name: Cow<'static, str>,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> serde_json::Result<Written>,
        read: fn(&[u8], &[Bytes]) -> serde_json::Result<()>,
    ) -> ServiceRequest {
        let write = |text: &mut Vec<u8>, parts: &mut Vec<Bytes>| {
            let start = text.len();
            if write(text, parts)?.has_wide_integer {
                let value = text.get(start..).unwrap_or_default();
                read(value, parts).map_err(|error| json_parts::unreadable(&error))?;
            }
            Ok(())
        };
        if let Err(error) = self.arguments.set(name.clone(), &mut self.parts, write) {
            self.set_invalid(format!(
                "the argument `{name}` cannot be serialised as JSON: {error}"
            ));
        }
        self
    }

    /// Sets an argument that is a part of the path.
    #[doc(hidden)]
    pub fn with_path_argument(mut self, name: &'static str, text: String) -> ServiceRequest {
        self.path_arguments.push((name, text));
        self
    }

    /// Sets the operation that this request is for.
    pub(crate) fn of_operation<O: Operation>(mut self) -> ServiceRequest {
        self.operation = Some(const { DeclaredOperation::of(&O::SPEC) });
        self.contract_routes = O::CONTRACT_ROUTES;
        self
    }

    /// Returns the name of the operation, and the routes of its contract.
    pub(crate) fn contract_routes(&self) -> Option<(&'static str, &'static [&'static Spec])> {
        Some((self.operation?.name, self.contract_routes))
    }

    /// Returns the operation for the message of the response.
    pub(crate) fn called_operation(&self) -> Option<CalledOperation> {
        let DeclaredOperation { name, contract, .. } = self.operation?;
        Some(CalledOperation {
            name: name.into(),
            contract,
        })
    }

    /// Sets a header, replacing a header of the same name, in any case.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow").header("x-tenant", "blue");
    /// assert_eq!(request.headers()["x-tenant"], "blue");
    /// ```
    ///
    /// A call with a header whose name or value is not valid in HTTP fails with [`Refused`](crate::CallError::Refused).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> ServiceRequest {
        let (name, value) = (name.into(), value.into());
        let invalid = match (HeaderName::try_from(&name), HeaderValue::try_from(&value)) {
            (Err(_), _) => Some("its name is not valid in HTTP"),
            (_, Err(_)) => Some("its value has a control character, such as a line feed"),
            _ => None,
        };
        if let Some(reason) = invalid {
            // The value may be a secret.
            self.set_invalid(format!("`{}: ..` is not a header: {reason}", name.escape_debug()));
        }
        self.headers.retain(|other, _| !other.eq_ignore_ascii_case(&name));
        self.headers.insert(name, Value::String(value));
        self
    }

    /// Sets the body, which is sent as JSON.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow").body([1, 2]);
    /// assert_eq!(request.body_text(), "[1,2]");
    /// ```
    ///
    /// Brubeck's protocol and [`Dialect::Seed`](crate::Dialect::Seed) send named arguments as members of the body, in which
    /// they replace members of the same name. With these protocols, a request with named arguments must have no body or a JSON
    /// object as its body. A call with any other body fails with [`Refused`](crate::CallError::Refused).
    pub fn body(mut self, value: impl Serialize) -> ServiceRequest {
        let parts = &mut self.parts;
        match small_bytes::write_with(|buffer| json_parts::write_borrowed(buffer, parts, &value).map(drop)) {
            Ok(body) => self.body = body,
            Err(error) => self.set_invalid(format!("the body cannot be serialised as JSON: {error}")),
        }
        self
    }

    fn set_invalid(&mut self, reason: String) {
        self.invalid.get_or_insert(reason);
    }

    /// Marks the request as idempotent, so that it may be retried.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// assert!(ServiceRequest::new("/service/slow").idempotent().is_idempotent());
    /// ```
    ///
    /// If the connection to a worker is lost while the call is in flight, the request is sent again after a short random
    /// delay, once and within a budget for all retries of the client: a request that makes its worker crash ends at most two
    /// workers. A slow worker or caller is no reason to send it again. Without this mark such a call
    /// fails with [`Lost`](crate::CallError::Lost) unless it is proven that its handler did not run. Calls in a dialect of
    /// the Python original are never retried.
    pub fn idempotent(mut self) -> ServiceRequest {
        self.idempotent = true;
        self
    }

    /// Returns `true` if the request is marked as idempotent.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// assert!(!ServiceRequest::new("/service/slow").is_idempotent());
    /// ```
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// Returns the path, as it was given to [`new`](ServiceRequest::new).
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// assert_eq!(ServiceRequest::new("/service/slow").path(), "/service/slow");
    /// ```
    ///
    /// It is neither checked nor percent-encoded. For a request of a contract or of a handler's builder, the arguments in the path are
    /// filled in and percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the method: [`Method::Request`], unless [`with_method`](ServiceRequest::with_method) has set another one.
    ///
    /// ```
    /// use brubeck::{Method, ServiceRequest};
    ///
    /// assert_eq!(ServiceRequest::new("/service/slow").method(), Method::Request);
    /// ```
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the named arguments, as [`argument`](ServiceRequest::argument) has set them. Bytes are arrays of numbers here.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow").argument("text", "hello").argument("width", 200);
    /// assert_eq!(request.arguments().len(), 2);
    /// assert_eq!(request.arguments()["width"], 200);
    /// ```
    ///
    /// The members of the [`body`](ServiceRequest::body) are not among them.
    pub fn arguments(&self) -> &Map<String, Value> {
        self.arguments.as_map(&self.parts)
    }

    /// Returns the name of the operation, such as `thumbs::resize`. Returns `None` for a request without a contract.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::{Operation, ServiceRequest};
    ///
    /// #[service_client]
    /// pub trait Thumbs {
    ///     #[call("/thumbs/count")]
    ///     async fn count(&self) -> Result<u32, Problem>;
    /// }
    ///
    /// # fn main() {
    /// let thumbs = ThumbsClient::at("ipc://run/thumbs", "my_shared_secret");
    /// assert_eq!(thumbs.count().into_request().operation(), Some("thumbs::count"));
    /// assert_eq!(ServiceRequest::new("/thumbs/count").operation(), None);
    /// # }
    /// ```
    pub fn operation(&self) -> Option<&'static str> {
        self.operation.map(|operation| operation.name)
    }

    /// Returns the headers.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// let request = ServiceRequest::new("/service/slow").header("x-tenant", "blue");
    /// assert_eq!(request.headers().len(), 1);
    /// ```
    pub fn headers(&self) -> &Map<String, Value> {
        &self.headers
    }

    /// Returns the body as JSON text. It is empty if no body was set. Bytes are not a part of the text.
    ///
    /// ```
    /// use brubeck::ServiceRequest;
    ///
    /// assert_eq!(ServiceRequest::new("/service/slow").body("hello").body_text(), r#""hello""#);
    /// ```
    pub fn body_text(&self) -> &Bytes {
        &self.body
    }

    /// Returns the named arguments as the text of a JSON object in which bytes are arrays of numbers.
    pub(crate) fn inlined_arguments(&self) -> Bytes {
        json_parts::inline(self.arguments.clone().into_text().into(), &self.parts)
    }

    /// Returns the body as JSON text in which bytes are arrays of numbers.
    pub(crate) fn inlined_body(&self) -> Bytes {
        json_parts::inline(self.body.clone(), &self.parts)
    }

    /// Sets the hop count, that is the number of calls that led to this one, and the trace context.
    pub(crate) fn with_trace(self, hops: u8, trace: Trace) -> ServiceRequest {
        ServiceRequest {
            hops,
            trace: Some(trace),
            ..self
        }
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Sets the call that the request makes within the layers of its client.
    pub(super) fn with_layered_call(self, call: Arc<LayeredCall>) -> ServiceRequest {
        ServiceRequest {
            layered: Some(call),
            ..self
        }
    }

    /// Returns the reason why the request cannot be sent, if there is one.
    pub(crate) fn invalid_reason(&self) -> Option<&str> {
        if let Some(reason) = &self.invalid {
            Some(reason)
        } else if !self.path.starts_with('/') {
            Some("the path of a request must start with `/`")
        } else {
            None
        }
    }
}

/// Shows the names of arguments and headers and the size of the body. Their contents may be secret.
impl fmt::Debug for ServiceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("arguments", &self.arguments().keys().collect::<Vec<_>>())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_parts_of_the_request_and_numbers_in_its_arguments() {
        let bytes = |byte: u8| Bytes::from(vec![byte; 3]);
        let request = ServiceRequest::new("/a")
            .argument("a", bytes(1))
            .argument("b", (bytes(2), bytes(3)))
            .set_argument("a", bytes(4), |_, _| Ok(()))
            .body((bytes(5), 1));
        assert_eq!(request.arguments()["a"], serde_json::json!([4, 4, 4]));
        assert_eq!(
            request.arguments()["b"],
            serde_json::json!([[2, 2, 2], [3, 3, 3]])
        );
        assert_eq!(request.inlined_body(), "[[5,5,5],1]");
        // The part of the first value of `a` is empty now, because it is not sent.
        assert_eq!(
            request.parts,
            [Bytes::new(), bytes(2), bytes(3), bytes(4), bytes(5)]
        );
    }
}
