//! Layers around the calls of a client.

use super::{CallError, CallErrorReason, Client, Link, Origin, PendingResponse, Phase};
use super::{DeadlineTimer, ResponseBody, ServiceAddress, ServiceRequest, ServiceResponse};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use std::error::Error as StdError;
use std::fmt;
use std::future::{poll_fn, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// The timeout of a request that a layer makes itself.
const OWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a layer has after the deadline of a call, in which the call itself ends with the more exact error.
const GRACE: Duration = Duration::from_millis(20);

/// The calls of a [`Client`] as a [`tower_service::Service`], which [layers](Client::layer) wrap.
///
/// ```
/// use brubeck::{Client, ClientService, ServiceRequest};
/// use tower::{ServiceExt, layer::layer_fn};
///
/// /// Returns a client that adds a header to each of its calls.
/// fn with_tenant(client: Client) -> Client {
///     client.layer(layer_fn(|calls: ClientService| {
///         calls.map_request(|request: ServiceRequest| request.header("x-tenant", "blue"))
///     }))
/// }
/// ```
///
/// It takes a [`ServiceRequest`], and returns a [`ServiceResponse`] whose body is not read yet, or a [`CallError`]. It is always ready, and
/// cheap to clone. A layer may send a request several times, such as to repeat it, also at the same time. A request that a layer makes
/// itself has a timeout of 10 seconds, and a trace of its own.
#[derive(Clone)]
pub struct ClientService {
    link: Arc<dyn Link>,
}

impl Service<ServiceRequest> for ClientService {
    type Response = ServiceResponse<ResponseBody>;
    type Error = CallError;
    type Future = PendingResponse;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ServiceRequest) -> PendingResponse {
        if let Some(reason) = request.invalid_reason() {
            return Box::pin(ready(Err(CallError::Refused(reason.to_owned().into()))));
        }
        let Some(layered) = request.layered.clone() else {
            return self.link.call(request, None, Instant::now() + OWN_TIMEOUT);
        };
        layered.is_sent.store(true, Ordering::Relaxed);
        let origin = layered.origin.clone();
        let Some(accepted) = layered.take_accepted() else {
            return self.link.call(request, origin, layered.deadline);
        };
        let link = self.link.clone();
        Box::pin(async move {
            let response = link.post(request, origin, layered.deadline).await?;
            // The caller may have stopped waiting.
            let _ = accepted.send(());
            response.await
        })
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientService({})", self.link.address())
    }
}

/// The call that a request makes within the layers of its client.
pub(super) struct LayeredCall {
    origin: Option<Origin>,
    deadline: Instant,
    is_sent: AtomicBool,
    /// Completes when a worker has accepted the call. `None` if the caller does not wait for that.
    accepted: Mutex<Option<oneshot::Sender<()>>>,
}

impl LayeredCall {
    fn take_accepted(&self) -> Option<oneshot::Sender<()>> {
        self.accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Converts the error of a layer. That of a call passes through the layers.
    fn error(&self, error: Box<dyn StdError + Send + Sync>) -> CallError {
        match error.downcast::<CallError>() {
            Ok(error) => *error,
            Err(error) if self.is_sent.load(Ordering::Relaxed) => CallError::BadReply(
                CallErrorReason::because_of(format!("a layer of the client failed: {error}"), error),
            ),
            Err(error) => CallError::Refused(CallErrorReason::because_of(
                format!("a layer of the client has not sent the call: {error}"),
                error,
            )),
        }
    }
}

/// The calls of a client within a layer, without the type of the layer.
type LayeredCalls = Box<dyn Fn(ServiceRequest, Arc<LayeredCall>) -> PendingResponse + Send + Sync>;

/// Wraps the calls of a link in a layer.
type ApplyLayer = Arc<dyn Fn(ClientService) -> LayeredCalls + Send + Sync>;

/// A link whose calls pass a layer.
struct LayeredLink {
    inner: Arc<dyn Link>,
    apply: ApplyLayer,
    calls: LayeredCalls,
    /// The same with the link of a test, so that the state of the layer lasts from one message to the next.
    in_test: Mutex<Option<Arc<LayeredLink>>>,
}

impl LayeredLink {
    fn new(inner: Arc<dyn Link>, apply: ApplyLayer) -> LayeredLink {
        LayeredLink {
            calls: apply(ClientService { link: inner.clone() }),
            inner,
            apply,
            in_test: Mutex::new(None),
        }
    }

    fn start(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
        accepted: Option<oneshot::Sender<()>>,
    ) -> PendingResponse {
        let call = Arc::new(LayeredCall {
            origin,
            deadline,
            is_sent: AtomicBool::new(false),
            accepted: Mutex::new(accepted),
        });
        let response = (self.calls)(request.with_layered_call(call.clone()), call.clone());
        Box::pin(async move {
            let ended = DeadlineTimer::new(deadline + GRACE).limit(response).await;
            ended.unwrap_or_else(|| {
                Err(CallError::deadline(match call.is_sent.load(Ordering::Relaxed) {
                    true => Phase::Running,
                    false => Phase::Waiting,
                }))
            })
        })
    }
}

impl Link for LayeredLink {
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        self.start(request, origin, deadline, None)
    }

    fn post(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        let (accept, accepted) = oneshot::channel();
        let response = self.start(request, origin, deadline, Some(accept));
        Box::pin(async move {
            // A layer that responds itself drops the sender, or never uses it.
            let accepted = accepted.then(|accepted| async move {
                if accepted.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            match select(Box::pin(accepted), response).await {
                Either::Left(((), response)) => Ok(response),
                Either::Right((response, _)) => Ok(Box::pin(ready(Ok(response?))) as PendingResponse),
            }
        })
    }

    fn address(&self) -> &str {
        self.inner.address()
    }

    fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.inner.add_worker(address)
    }

    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        self.inner.remove_worker(address)
    }

    fn workers(&self) -> Vec<String> {
        self.inner.workers()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn response_unreadable(&self, worker: &str) {
        self.inner.response_unreadable(worker);
    }

    fn in_test(&self, open: &dyn Fn(&ServiceAddress) -> Arc<dyn Link>) -> Option<Arc<dyn Link>> {
        let inner = self.inner.in_test(open)?;
        let mut in_test = self.in_test.lock().unwrap_or_else(PoisonError::into_inner);
        let link = match in_test.take() {
            Some(link) if Arc::ptr_eq(&link.inner, &inner) => link,
            _ => Arc::new(LayeredLink::new(inner, self.apply.clone())),
        };
        Some(in_test.insert(link).clone())
    }
}

impl Client {
    /// Wraps the calls of this client in a [`tower_layer::Layer`]. The layer that is added last is the outermost.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::{ClientService, ServiceAddress, ServiceRequest};
    /// use tower::{ServiceExt, layer::layer_fn};
    ///
    /// #[service_client]
    /// pub trait Thumbs {
    ///     #[call("/thumbs/count")]
    ///     async fn count(&self) -> Result<u32, Problem>;
    /// }
    ///
    /// fn thumbs() -> ThumbsClient {
    ///     let address = ServiceAddress::new("ipc://run/thumbs", "my_shared_secret");
    ///     let with_tenant = layer_fn(|calls: ClientService| {
    ///         calls.map_request(|request: ServiceRequest| request.header("x-tenant", "blue"))
    ///     });
    ///     ThumbsClient::new(Client::lazy(address).layer(with_tenant))
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// A layer is a service around a [`ClientService`]: it sees the operation, the arguments and the headers of each request, and the status,
    /// the headers and the body of each response as they were received. All calls pass it, with and without a contract, and also those
    /// that are not awaited. The clones of the client that this returns share it; clones that were made before do not have it.
    ///
    /// A call ends by its deadline, whatever its layers do. An error of a layer that is not a [`CallError`] becomes
    /// [`Refused`](CallError::Refused) if the layer has not sent the call, and [`BadReply`](CallError::BadReply) otherwise.
    /// [`App::call_layer`](crate::App::call_layer) is the counterpart on the side of the service.
    pub fn layer<L>(self, layer: L) -> Client
    where
        L: Layer<ClientService> + Send + Sync + 'static,
        L::Service:
            Service<ServiceRequest, Response = ServiceResponse<ResponseBody>> + Clone + Send + Sync + 'static,
        <L::Service as Service<ServiceRequest>>::Error: Into<Box<dyn StdError + Send + Sync>>,
        <L::Service as Service<ServiceRequest>>::Future: Send,
    {
        let apply: ApplyLayer = Arc::new(move |calls| {
            let calls = layer.layer(calls);
            Box::new(move |request, call| {
                let mut calls = calls.clone();
                Box::pin(async move {
                    let response = async {
                        poll_fn(|cx| calls.poll_ready(cx)).await?;
                        calls.call(request).await
                    };
                    response.await.map_err(|error| call.error(error.into()))
                })
            })
        });
        Client {
            link: Arc::new(LayeredLink::new(self.link, apply)),
            caller: self.caller,
        }
    }
}
