//! Sends calls: computes their deadline and their trace, and adds the place of a call to its error.

use super::call_site::CallOrigin;
use super::{
    Call, CallError, CallSite, Link, Origin, PendingResponse, ResponseBody, ServiceRequest, ServiceResponse,
};
use crate::trace::Trace;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// The longest timeout of a call: the wire has a `u32` for its milliseconds.
const MAX_TIMEOUT: Duration = Duration::from_millis(u32::MAX as u64);

impl Call {
    /// Starts the call and returns the future of its response.
    pub(super) fn start(self) -> SentCall {
        let (origin, prepared) = self.prepare();
        SentCall {
            origin,
            response: match prepared {
                Ok(prepared) => prepared.send(),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            },
        }
    }

    /// Computes the deadline of the call, and adds hop count and trace to the request. Returns an error if the request is not
    /// valid.
    pub(super) fn prepare(self) -> (CallOrigin, Result<PreparedCall, CallError>) {
        let now = Instant::now();
        let own_deadline = now + self.timeout.min(MAX_TIMEOUT);
        let link = self.client.link;
        let (origin, deadline, request) = match self.client.caller.as_deref() {
            Some(caller) => (
                caller.origin.clone(),
                caller.deadline.or_sooner(own_deadline),
                self.request.with_trace(caller.hops, caller.trace.child()),
            ),
            None => (
                None,
                own_deadline,
                self.request.with_trace(0, Trace::new_root(false)),
            ),
        };
        let call_origin = CallOrigin::new(link.clone(), &request);
        if let Some(reason) = request.invalid_reason() {
            return (call_origin, Err(CallError::Refused(reason.to_owned().into())));
        }
        let prepared = PreparedCall {
            link,
            request,
            origin,
            deadline,
        };
        (call_origin, Ok(prepared))
    }

    /// Returns the site of a call that is not sent.
    pub(super) fn site(&self) -> CallSite {
        let trace = self.client.caller.as_deref().map(|caller| &caller.trace);
        CallOrigin::new(self.client.link.clone(), &self.request)
            .with_trace(trace)
            .site()
    }
}

/// A call that is ready to be passed to its link.
pub(super) struct PreparedCall {
    link: Arc<dyn Link>,
    request: ServiceRequest,
    origin: Option<Origin>,
    deadline: Instant,
}

impl PreparedCall {
    /// Returns the `tracing` span of the call.
    fn span(&self) -> Span {
        tracing::info_span!(
            "call",
            service = self.link.address(),
            path = self.request.path(),
            traceparent = self.request.trace().map(tracing::field::debug),
        )
    }

    fn send(self) -> PendingResponse {
        let span = self.span();
        let PreparedCall {
            link,
            request,
            origin,
            deadline,
        } = self;
        #[cfg(feature = "metrics")]
        let started = std::time::Instant::now();
        let response = link.call(request, origin, deadline);
        #[cfg(feature = "metrics")]
        let response = record(&*link, started, response);
        // `instrument` needs another box, which calls without a trace subscriber should not pay for.
        if span.is_disabled() {
            response
        } else {
            Box::pin(response.instrument(span))
        }
    }

    /// Sends the call and waits until a worker has accepted it. Returns the future of its response.
    pub(super) async fn send_until_accepted(self) -> Result<PendingResponse, CallError> {
        let span = self.span();
        let PreparedCall {
            link,
            request,
            origin,
            deadline,
        } = self;
        // The recorded time includes the wait for a worker.
        #[cfg(feature = "metrics")]
        let started = std::time::Instant::now();
        let accepted = link
            .post(request, origin, deadline)
            .instrument(span.clone())
            .await;
        #[cfg(feature = "metrics")]
        let accepted = match accepted {
            Ok(response) => Ok(record(&*link, started, response)),
            Err(error) => {
                super::metrics::record_failed_call(link.address().to_owned(), started, &error);
                Err(error)
            }
        };
        Ok(Box::pin(accepted?.instrument(span)))
    }
}

#[cfg(feature = "metrics")]
fn record(link: &dyn Link, started: std::time::Instant, response: PendingResponse) -> PendingResponse {
    Box::pin(super::metrics::record_call(
        link.address().to_owned(),
        started,
        response,
    ))
}

/// The future of a response, whose errors say where the call went.
pub(super) struct SentCall {
    origin: CallOrigin,
    response: PendingResponse,
}

impl SentCall {
    /// Decodes a response. Errors say where the call was sent, and a response that cannot be read counts against its worker.
    pub(super) fn decode<T, E>(
        &self,
        response: ServiceResponse<ResponseBody>,
        decode: impl FnOnce(ServiceResponse<ResponseBody>) -> Result<T, CallError<E>>,
    ) -> Result<T, CallError<E>> {
        let worker = response.body.worker.clone();
        // A status from 500 on counts as a failure of the worker already.
        let is_counted = response.status.code() >= 500;
        decode(response).map_err(|error| {
            if let (CallError::BadReply(_), Some(worker), false) = (&error, &worker, is_counted) {
                self.origin.link().response_unreadable(worker);
            }
            error.at(self.site_of(worker))
        })
    }

    /// Returns the site of the call, which was sent to this worker.
    pub(super) fn site_of(&self, worker: Option<Arc<str>>) -> CallSite {
        let mut site = CallSite::of_worker(worker);
        site.merge(self.origin.site());
        site
    }
}

impl Future for SentCall {
    type Output = Result<ServiceResponse<ResponseBody>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.response.as_mut().poll(cx));
        Poll::Ready(response.map_err(|error| error.at(self.origin.site())))
    }
}
