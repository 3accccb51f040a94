//! A call whose response handler is awaited, too.

use super::sending::SentCall;
use super::{Call, CallEnd, CallError, CallId, CallTarget, Handled, ResponseBody, ServiceResponse};
use futures_util::future::BoxFuture;

/// A call whose response handler is awaited too; see [`Call::handled`].
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// let (response, handled) = slow.request("/service/slow").handled().await?;
/// let length: Option<usize> = handled.downcast();
/// # Ok(()) }
/// ```
///
/// Awaiting it returns the response and the output of the handler, which is [`Handled::NONE`] if no handler ran to its end.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct HandledCall {
    pub(super) call: Call,
}

impl HandledCall {
    /// Runs the call and its response handler.
    ///
    /// Returns the response and the output of the handler, which is `None` if the client belongs to no application or if
    /// no handler ran to its end. Also returns the call, for errors.
    pub(super) async fn run(
        self,
    ) -> Result<(ServiceResponse<ResponseBody>, Option<Handled>, SentCall), CallError> {
        let caller = self.call.client.caller.as_ref();
        let handlers = caller.map(|caller| caller.handlers.clone());
        let target = CallTarget::of(&self.call.request);
        let id = self.call.id;
        let mut sent = self.call.start();
        let response = (&mut sent).await?;
        let handled = match handlers {
            Some(handlers) => {
                let end = CallEnd::new(id.unwrap_or_else(CallId::new), sent.site_of(None));
                handlers
                    .respond(response.clone().into_message(&target, end))
                    .await
            }
            None => None,
        };
        Ok((response, handled, sent))
    }
}

impl IntoFuture for HandledCall {
    type Output = Result<(ServiceResponse, Handled), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (response, handled, sent) = self.run().await?;
            let response = sent.decode(response, |response| Ok(response.decode()?))?;
            Ok((response, handled.unwrap_or(Handled::NONE)))
        })
    }
}
