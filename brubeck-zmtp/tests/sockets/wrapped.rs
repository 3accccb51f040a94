//! Streams that are wrapped before the ZMTP handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use brubeck_zmtp::{
    Endpoint, LinkConfig, PeerStream, RouterServer, RoutingId, ServerEvent, ServerLimits, StreamWrapper,
    Transport, WrappedStream, WrappedZmtp,
};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::common::{answered, asked, echo, endpoint, frames, handshake, soon, up};

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

/// A server whose peers must be admitted, and a raw peer that has completed its handshake.
async fn unadmitted(handshake_timeout: Duration) -> (RouterServer, RoutingId, TcpStream) {
    let limits = ServerLimits {
        unadmitted_message_bytes: Some(100),
        handshake_timeout,
        ..ServerLimits::default()
    };
    let transport = WrappedZmtp::new(Arc::new(Buffering { admits: true }));
    let mut server = transport
        .server(endpoint("tcp://127.0.0.1:0"), limits)
        .await
        .unwrap();
    let Endpoint::Tcp { port, .. } = server.local else {
        panic!("tcp");
    };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    handshake(&mut stream, "DEALER", "raw").await;
    let Some(ServerEvent::Verified { peer, .. }) = soon("an event", server.inbound.recv()).await else {
        panic!("no credentials");
    };
    (server, peer, stream)
}

fn message(length: u8) -> Vec<u8> {
    [&[0, length][..], &vec![b'x'; length.into()]].concat()
}

async fn message_length(server: &mut RouterServer) -> usize {
    match soon("a message", server.inbound.recv()).await {
        Some(ServerEvent::Message { frames, .. }) => frames[0].len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn message_limit_of_a_peer_is_raised_when_it_is_admitted() {
    let (mut server, peer, mut stream) = unadmitted(Duration::from_secs(3600)).await;
    stream.write_all(&message(100)).await.unwrap();
    assert_eq!(message_length(&mut server).await, 100);
    server.outbound.admit(&peer).unwrap();
    // The connection applies it when it is woken, before it reads again.
    tokio::task::yield_now().await;
    stream.write_all(&message(101)).await.unwrap();
    assert_eq!(message_length(&mut server).await, 101);

    let (mut server, _, mut stream) = unadmitted(Duration::from_secs(3600)).await;
    stream.write_all(&message(101)[..2]).await.unwrap();
    let read = soon("the end", stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(matches!(
        soon("the end", server.inbound.recv()).await,
        Some(ServerEvent::Disconnected { .. })
    ));
}

#[tokio::test]
async fn peer_that_is_not_admitted_in_time_is_disconnected_whatever_it_sends() {
    let (mut server, _, stream) = unadmitted(Duration::from_millis(300)).await;
    let (mut reader, mut writer) = stream.into_split();
    let flood = tokio::spawn(async move { while writer.write_all(&message(1)).await.is_ok() {} });
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    soon("the end", async {
        while let Some(ServerEvent::Message { .. }) = server.inbound.recv().await {}
    })
    .await;
    let _ = drain.await.unwrap();
    flood.await.unwrap();
}
