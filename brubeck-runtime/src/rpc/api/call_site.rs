//! The place of a call: the part of its errors that is the same for all of them.

use super::{Link, ServiceRequest};
use crate::method::Method;
use crate::trace::Trace;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The place of a call: its operation, the address of the service, the worker, and the trace.
///
/// ```
/// use brubeck::CallError;
///
/// fn log(error: &CallError) {
///     let site = error.site();
///     tracing::warn!(operation = site.operation(), worker = site.worker(), trace_id = site.trace_id(), "no prices");
/// }
/// ```
///
/// An error that a call has returned has an operation, an address and a trace. It has a worker if the call was sent to one. An error that
/// was created otherwise, such as in a test, has none of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallSite(Option<Arc<Parts>>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Parts {
    operation: Option<Cow<'static, str>>,
    address: Option<Cow<'static, str>>,
    worker: Option<Arc<str>>,
    trace_id: Option<String>,
}

impl CallSite {
    /// Returns the operation, such as `thumbs::resize`, or the method and the path of a call without a contract, such as
    /// `request /service/slow`.
    ///
    /// ```
    /// # use brubeck::{CallError, Phase};
    /// let error: CallError = CallError::deadline(Phase::Running);
    /// assert_eq!(error.site().operation(), None); // no call has returned it
    /// ```
    pub fn operation(&self) -> Option<&str> {
        self.0.as_ref()?.operation.as_deref()
    }

    /// Returns the address of the service, which is a list with commas if it has several.
    ///
    /// ```
    /// # fn example(error: &brubeck::CallError) {
    /// println!("{:?}", error.site().address()); // Some("tcp://10.0.0.6:9000")
    /// # }
    /// ```
    pub fn address(&self) -> Option<&str> {
        self.0.as_ref()?.address.as_deref()
    }

    /// Returns the address of the worker to which the call was sent.
    ///
    /// ```
    /// # fn example(error: &brubeck::CallError) {
    /// if let Some(worker) = error.site().worker() {
    ///     println!("{worker} may be ill");
    /// }
    /// # }
    /// ```
    ///
    /// It is `None` if the call was not sent, or if the protocol is a dialect of the Python original.
    pub fn worker(&self) -> Option<&str> {
        self.0.as_ref()?.worker.as_deref()
    }

    /// Returns the ID of the trace to which the call belongs, as 32 hexadecimal digits.
    ///
    /// ```
    /// # fn example(error: &brubeck::CallError) {
    /// println!("{:?}", error.site().trace_id()); // Some("4bf92f3577b34da6a3ce929d0e0e4736")
    /// # }
    /// ```
    pub fn trace_id(&self) -> Option<&str> {
        self.0.as_ref()?.trace_id.as_deref()
    }

    /// Creates a site that consists of a worker only.
    pub(crate) fn of_worker(worker: Option<Arc<str>>) -> CallSite {
        CallSite(worker.map(|worker| {
            Arc::new(Parts {
                worker: Some(worker),
                ..Parts::default()
            })
        }))
    }

    /// Creates the site of an error that occurred before there was a call.
    pub(super) fn of_service(address: &str, trace: Option<&Trace>) -> CallSite {
        CallSite(Some(Arc::new(Parts {
            address: Some(Cow::Owned(address.to_owned())),
            trace_id: trace.map(Trace::id),
            ..Parts::default()
        })))
    }

    /// Adds the parts of `other` that this site does not have.
    pub(super) fn merge(&mut self, other: CallSite) {
        let (known, parts) = match (self.0.take(), other.0) {
            (Some(known), Some(parts)) => (known, parts),
            (one, another) => return self.0 = one.or(another),
        };
        let (mut known, parts) = (Arc::unwrap_or_clone(known), Arc::unwrap_or_clone(parts));
        known.operation = known.operation.or(parts.operation);
        known.address = known.address.or(parts.address);
        known.worker = known.worker.or(parts.worker);
        known.trace_id = known.trace_id.or(parts.trace_id);
        self.0 = Some(Arc::new(known));
    }

    /// Writes the operation and the address of the worker or of the service in front of a text, without an address that the text contains.
    pub(super) fn write_before(&self, text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.worker().or(self.address());
        match (
            self.operation(),
            address.filter(|address| !text.contains(address)),
        ) {
            (Some(operation), Some(address)) => write!(f, "`{operation}` at {address}: {text}"),
            (Some(operation), None) => write!(f, "`{operation}`: {text}"),
            (None, Some(address)) => write!(f, "{address}: {text}"),
            (None, None) => f.write_str(text),
        }
    }
}

impl fmt::Debug for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSite")
            .field("operation", &self.operation())
            .field("address", &self.address())
            .field("worker", &self.worker())
            .field("trace_id", &self.trace_id())
            .finish()
    }
}

/// What the site of a call is made of if the call fails.
pub(super) struct CallOrigin {
    link: Arc<dyn Link>,
    target: CalledAs,
    trace: Option<u128>,
}

enum CalledAs {
    Operation(&'static str),
    Path(Method, String),
}

impl CallOrigin {
    pub(super) fn new(link: Arc<dyn Link>, request: &ServiceRequest) -> CallOrigin {
        CallOrigin {
            link,
            target: match request.operation {
                Some(operation) => CalledAs::Operation(operation.name),
                None => CalledAs::Path(request.method(), request.path().to_owned()),
            },
            trace: request.trace().map(Trace::number),
        }
    }

    pub(super) fn link(&self) -> &dyn Link {
        &*self.link
    }

    /// Sets the trace, unless the request has one.
    pub(super) fn with_trace(self, trace: Option<&Trace>) -> CallOrigin {
        CallOrigin {
            trace: self.trace.or(trace.map(Trace::number)),
            ..self
        }
    }

    /// Returns the site of the call. The worker is added by the link, which knows it.
    pub(super) fn site(&self) -> CallSite {
        CallSite(Some(Arc::new(Parts {
            operation: Some(match &self.target {
                CalledAs::Operation(operation) => Cow::Borrowed(operation),
                CalledAs::Path(method, path) => Cow::Owned(format!("{} {path}", method.as_str())),
            }),
            address: Some(Cow::Owned(self.link.address().to_owned())),
            worker: None,
            trace_id: self.trace.map(|id| format!("{id:032x}")),
        })))
    }
}
