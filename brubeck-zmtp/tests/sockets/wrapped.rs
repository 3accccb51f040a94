//! Streams that are wrapped before the ZMTP handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use brubeck_zmtp::{
    Endpoint, LinkConfig, PeerStream, ServerEvent, ServerLimits, StreamWrapper, Transport, WrappedStream,
    WrappedZmtp,
};
use futures_util::future::BoxFuture;
use tokio::io::BufStream;

use crate::common::{answered, asked, echo, endpoint, frames, soon, up};

/// Buffers everything until it is flushed, as an encrypted stream does, and admits clients that connect with the same wrapper.
#[derive(Debug)]
struct Buffering {
    admits: bool,
}

fn buffered(stream: PeerStream) -> PeerStream {
    match stream {
        PeerStream::Tcp(stream) => PeerStream::Wrapped(Box::new(BufStream::new(stream))),
        PeerStream::Ipc(stream) => PeerStream::Wrapped(Box::new(BufStream::new(stream))),
        wrapped => wrapped,
    }
}

impl StreamWrapper for Buffering {
    fn connect<'a>(&'a self, stream: PeerStream, _: &'a Endpoint) -> BoxFuture<'a, io::Result<PeerStream>> {
        Box::pin(async move { Ok(buffered(stream)) })
    }

    fn accept(
        &self,
        stream: PeerStream,
        address: Option<IpAddr>,
    ) -> BoxFuture<'_, io::Result<WrappedStream>> {
        Box::pin(async move {
            if !self.admits {
                return Err(io::Error::other("not admitted"));
            }
            Ok(WrappedStream {
                stream: buffered(stream),
                credentials: Some(format!("{address:?}").into()),
            })
        })
    }

    fn explain(&self, error: io::Error) -> io::Error {
        io::Error::other(format!("explained: {error}"))
    }
}

#[tokio::test]
async fn each_batch_of_a_wrapped_stream_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let ipc = format!("ipc://{}/socket", folder.path().display());
    let transport = WrappedZmtp::new(Arc::new(Buffering { admits: true }));
    for address in ["tcp://127.0.0.1:0", &ipc] {
        let server = transport
            .server(endpoint(address), ServerLimits::default())
            .await
            .unwrap();
        let mut client = transport
            .client(server.local.clone(), LinkConfig::default())
            .unwrap();
        let (_shutdown, _served) = echo(server);
        up(&mut client).await;
        for size in [1, 3_000, 100_000] {
            let message = frames(&["head", &"x".repeat(size)]);
            client.outbound.try_send(message.clone()).unwrap();
            assert_eq!(answered(&mut client).await, message);
        }
    }
}

#[tokio::test]
async fn credentials_are_the_first_event_of_a_connection() {
    let transport = WrappedZmtp::new(Arc::new(Buffering { admits: true }));
    let mut server = transport
        .server(endpoint("tcp://127.0.0.1:0"), ServerLimits::default())
        .await
        .unwrap();
    let mut client = transport
        .client(server.local.clone(), LinkConfig::default())
        .unwrap();
    up(&mut client).await;
    client.outbound.try_send(frames(&["hello"])).unwrap();
    let Some(ServerEvent::Verified { peer, credentials }) = soon("an event", server.inbound.recv()).await
    else {
        panic!("expected credentials");
    };
    assert_eq!(credentials, "Some(127.0.0.1)");
    assert_eq!(asked(&mut server).await, (peer, frames(&["hello"])));
}

#[tokio::test]
async fn refusal_after_connecting_is_explained() {
    let transport = WrappedZmtp::new(Arc::new(Buffering { admits: false }));
    let server = transport
        .server(endpoint("tcp://127.0.0.1:0"), ServerLimits::default())
        .await
        .unwrap();
    let mut client = transport
        .client(server.local.clone(), LinkConfig::default())
        .unwrap();
    crate::common::until("an explained error", || {
        client
            .outbound
            .last_error()
            .is_some_and(|error| error.starts_with("explained: "))
    })
    .await;
    assert_eq!(client.inbound.try_recv(), None);
}
