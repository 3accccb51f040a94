//! Helpers of the unit tests that use sockets.

use crate::handler::{Application, DispatchMode, HttpResponseFuture};
use crate::message::Message;
use crate::peer::WebClient;
use crate::response::{Body, Response};
use brubeck_zmtp::Endpoint;
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Waits for `future`, at most 20 seconds. The timeout is generous because the machine may be busy.
pub(crate) async fn soon<F: Future>(expected: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(output) => output,
        Err(_) => panic!("not within 20 s: {expected}"),
    }
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

pub(crate) fn frames(parts: &[&str]) -> Vec<Bytes> {
    parts
        .iter()
        .map(|part| Bytes::copy_from_slice(part.as_bytes()))
        .collect()
}

/// Polls a condition until it is true, at most 20 seconds.
pub(crate) async fn until(expected: &str, mut condition: impl FnMut() -> bool) {
    soon(expected, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Returns the greeting of a ZMTP 3.0 peer.
pub(crate) fn greeting() -> Vec<u8> {
    let mut greeting = vec![0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Returns the `READY` command of a peer. An empty identity is omitted.
pub(crate) fn ready(socket_type: &str, identity: &str) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in [("Socket-Type", socket_type), ("Identity", identity)] {
        if !value.is_empty() {
            body.push(name.len() as u8);
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&(value.len() as u32).to_be_bytes());
            body.extend_from_slice(value.as_bytes());
        }
    }
    [&[4, body.len() as u8], &body[..]].concat()
}

/// Performs the ZMTP handshake on a raw connection, as a socket of type `socket_type`.
pub(crate) async fn handshake<S>(stream: &mut S, socket_type: &str, identity: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream
        .write_all(&[greeting(), ready(socket_type, identity)].concat())
        .await
        .unwrap();
    let mut peer_greeting = [0; 66];
    soon("the greeting", stream.read_exact(&mut peer_greeting))
        .await
        .unwrap();
    let mut body = vec![0; peer_greeting[65].into()];
    soon("READY", stream.read_exact(&mut body)).await.unwrap();
    assert!(body.starts_with(b"\x05READY"));
}

/// An application that responds to calls with the future that a function returns, and never responds to HTTP requests.
pub(crate) struct CallApplication<F>(pub(crate) F);

impl<F, R> Application for CallApplication<F>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    fn answer(self: Arc<Self>, _: Message) -> BoxFuture<'static, Response> {
        Box::pin((self.0)())
    }

    fn serve(self: Arc<Self>, _: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(pending())
    }

    fn serve_peer(&self, _: http::Request<Body>, _: WebClient, _: DispatchMode) -> HttpResponseFuture {
        Either::Right(Box::pin(pending()))
    }

    fn body_limit(&self) -> usize {
        1024
    }

    fn message_limit(&self) -> usize {
        1024
    }
}
