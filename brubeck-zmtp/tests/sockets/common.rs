//! Helpers of the socket tests.

#![allow(unreachable_pub)]

use std::future::Future;
use std::time::Duration;

use brubeck_zmtp::{
    ClientEvent, DealerClient, Endpoint, Generation, LinkConfig, RouterServer, RoutingId, ServerEvent,
    ServerLimits, ShutdownHandle, Transport, Zmtp,
};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Waits for a future that must complete. The timeout is long, because the machine may be busy.
pub async fn soon<F: Future>(description: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(output) => output,
        Err(_) => panic!("timeout after 20 s: {description}"),
    }
}

pub fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

pub fn frames(parts: &[&str]) -> Vec<Bytes> {
    parts
        .iter()
        .map(|part| Bytes::copy_from_slice(part.as_bytes()))
        .collect()
}

pub async fn serve(at: &str) -> RouterServer {
    Zmtp.server(endpoint(at), ServerLimits::default()).await.unwrap()
}

pub async fn connect(to: &Endpoint) -> DealerClient {
    Zmtp.client(to.clone(), LinkConfig::default()).unwrap()
}

/// Sends every message back to its peer, until the server is closed. Returns the number of messages.
pub fn echo(server: RouterServer) -> (ShutdownHandle, tokio::task::JoinHandle<u64>) {
    let RouterServer {
        mut inbound,
        outbound,
        shutdown,
        ..
    } = server;
    let served = tokio::spawn(async move {
        let mut served = 0;
        while let Some(event) = inbound.recv().await {
            if let ServerEvent::Message { peer, frames } = event {
                served += 1;
                if outbound.send(peer, frames).await.is_err() {
                    break;
                }
            }
        }
        served
    });
    (shutdown, served)
}

pub async fn up(client: &mut DealerClient) -> Generation {
    match soon("a connection", client.inbound.recv()).await {
        Some(ClientEvent::Up { generation }) => generation,
        other => panic!("expected a connection, got {other:?}"),
    }
}

pub async fn asked(server: &mut RouterServer) -> (RoutingId, Vec<Bytes>) {
    loop {
        match soon("a message at the server", server.inbound.recv()).await {
            Some(ServerEvent::Message { peer, frames }) => return (peer, frames),
            Some(ServerEvent::Disconnected { .. } | ServerEvent::Verified { .. }) => {}
            None => panic!("the server ended"),
        }
    }
}

pub async fn answered(client: &mut DealerClient) -> Vec<Bytes> {
    match soon("an answer", client.inbound.recv()).await {
        Some(ClientEvent::Message { frames, .. }) => frames,
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// Polls until a condition is true.
pub async fn until(description: &str, mut condition: impl FnMut() -> bool) {
    soon(description, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The greeting of a ZMTP 3.0 peer.
pub fn greeting() -> Vec<u8> {
    let mut greeting = vec![0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// The `READY` command of a peer with this type, without an identity if `identity` is empty.
pub fn ready(socket_type: &str, identity: &str) -> Vec<u8> {
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

/// Completes the handshake on a raw connection, as a socket of this type.
pub async fn handshake<S>(stream: &mut S, socket_type: &str, identity: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream
        .write_all(&[greeting(), ready(socket_type, identity)].concat())
        .await
        .unwrap();
    let mut theirs = [0; 66];
    soon("the greeting", stream.read_exact(&mut theirs))
        .await
        .unwrap();
    let mut body = vec![0; theirs[65].into()];
    soon("READY", stream.read_exact(&mut body)).await.unwrap();
    assert!(body.starts_with(b"\x05READY"));
}
