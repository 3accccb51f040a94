//! Clients and servers: round trips, start order, restarts, lost connections, shutdown.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::common::{answered, asked, connect, echo, endpoint, frames, serve, soon, until, up};
use brubeck_zmtp::{
    ClientEvent, DealerClient, Endpoint, LinkConfig, LinkState, RouterServer, RoutingId, SendError,
    ServerEvent, ServerLimits, Transport, TransportError, Zmtp,
};
use bytes::Bytes;
use tokio::time::Instant;
use zeromq::prelude::*;

async fn round_trip(at: &str) {
    let mut server = serve(at).await;
    let mut client = connect(&server.local).await;
    assert_eq!(up(&mut client).await, 1);
    assert_eq!(*client.state.borrow(), LinkState::Up(1));

    let big = Bytes::from(vec![7; 1 << 20]);
    let message = vec![Bytes::new(), Bytes::from("text"), big];
    assert_eq!(client.outbound.try_send(message.clone()), Ok(1));
    let (peer, received) = asked(&mut server).await;
    assert_eq!(received, message);
    assert_eq!(peer.identity().len(), 32, "{peer:?}");
    assert!(peer.identity().iter().all(u8::is_ascii_hexdigit), "{peer:?}");

    server.outbound.send(peer, received).await.unwrap();
    assert_eq!(answered(&mut client).await, message);
    assert_eq!(
        (client.outbound.counts().sent, server.outbound.counts().sent),
        (1, 1)
    );
}

#[tokio::test]
async fn round_trip_over_tcp() {
    round_trip("tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn round_trip_over_ipc() {
    let folder = tempfile::tempdir().unwrap();
    round_trip(&format!("ipc://{}/s", folder.path().display())).await;
}

#[tokio::test]
async fn round_trip_over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        round_trip("tcp://[::1]:0").await;
    }
}

#[tokio::test]
async fn dropping_the_shutdown_handle_closes_nothing() {
    let server = serve("tcp://127.0.0.1:0").await;
    let local = server.local.clone();
    let (shutdown, served) = echo(server);
    drop(shutdown);
    let mut client = connect(&local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    assert_eq!(answered(&mut client).await, frames(&["x"]));
    served.abort();
}

#[tokio::test]
async fn serves_dealers_of_the_zeromq_crate() {
    let server = serve("tcp://127.0.0.1:0").await;
    let address = server.local.to_string();
    let (shutdown, served) = echo(server);
    let mut peer = zeromq::DealerSocket::new();
    peer.connect(&address).await.unwrap();
    peer.send(zeromq::ZmqMessage::from("x")).await.unwrap();
    assert_eq!(
        soon("an echo", peer.recv()).await.unwrap().into_vec(),
        frames(&["x"])
    );
    assert!(shutdown.shutdown(Duration::from_secs(5)).await);
    assert_eq!(soon("the end", served).await.unwrap(), 1);
}

#[tokio::test]
async fn client_may_start_before_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("ipc://{}/s", folder.path().display());
    let mut client = connect(&endpoint(&at)).await;
    assert_eq!(
        client.outbound.try_send(frames(&["too early"])),
        Err(SendError::LinkDown)
    );
    let in_time = Instant::now() + Duration::from_millis(20);
    assert_eq!(
        client.outbound.send_by(frames(&["x"]), in_time).await,
        Err(SendError::Deadline)
    );

    let outbound = client.outbound.clone();
    let waiting = tokio::spawn(async move {
        outbound
            .send_by(frames(&["waiting"]), Instant::now() + Duration::from_secs(20))
            .await
    });
    let mut server = serve(&at).await;
    assert_eq!(asked(&mut server).await.1, frames(&["waiting"]));
    assert_eq!(waiting.await.unwrap(), Ok(1));
    assert_eq!(up(&mut client).await, 1);
}

#[tokio::test]
async fn reconnects_after_each_restart_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("ipc://{}/s", folder.path().display());
    let mut client = connect(&endpoint(&at)).await;
    let started = Instant::now();
    for round in 1..=20 {
        let mut server = serve(&at).await;
        assert_eq!(up(&mut client).await, round);
        for question in 0..3 {
            let question = frames(&[&format!("{round}.{question}")]);
            assert_eq!(client.outbound.try_send(question.clone()), Ok(round));
            let (peer, asked) = asked(&mut server).await;
            server.outbound.send(peer, asked).await.unwrap();
            assert_eq!(answered(&mut client).await, question);
        }
        assert!(server.shutdown(Duration::from_secs(5)).await);
        match soon("the loss", client.inbound.recv()).await {
            Some(ClientEvent::Down { generation, .. }) => assert_eq!(generation, round),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            client.outbound.try_send(frames(&["down"])),
            Err(SendError::LinkDown)
        );
    }
    println!("20 restarts in {:?}", started.elapsed());
}

#[tokio::test]
async fn sending_client_reconnects_over_tcp() {
    let first = serve("tcp://127.0.0.1:0").await;
    let local = first.local.clone();
    let client = connect(&local).await;
    let DealerClient {
        mut inbound,
        outbound,
        ..
    } = client;
    let sender = tokio::spawn(async move {
        let deadline = || Instant::now() + Duration::from_secs(20);
        while outbound.send_by(frames(&["?"]), deadline()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut server = echo(first);
    for generation in 1..=20 {
        let mut answers = 0;
        while answers == 0 {
            let event = soon("an answer", inbound.recv()).await.unwrap();
            answers +=
                u64::from(matches!(event, ClientEvent::Message { generation: of, .. } if of == generation));
        }
        let lost = async {
            loop {
                match soon("the loss", inbound.recv()).await.unwrap() {
                    ClientEvent::Down { generation: of, .. } => break of,
                    ClientEvent::Message { .. } => {}
                    ClientEvent::Up { .. } => panic!("up without a loss"),
                }
            }
        };
        let (all_left, lost) = tokio::join!(server.0.shutdown(Duration::from_secs(5)), lost);
        assert!(all_left, "restart {generation}");
        assert_eq!(lost, generation);
        server = echo(serve(&local.to_string()).await);
    }
    drop(inbound);
    soon("the end of the sender", sender).await.unwrap();
}

#[tokio::test]
async fn replaces_a_stale_socket_file_and_refuses_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    // A killed process leaves its socket file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let at = format!("ipc://{}", path.display());
    let server = serve(&at).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let refused = Zmtp
        .server(endpoint(&at), ServerLimits::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("already in use"), "{refused}");

    let mut client = connect(&server.local).await;
    up(&mut client).await;
    assert!(server.shutdown(Duration::from_secs(5)).await);
    assert!(!path.exists(), "a closed server removes its file");
}

#[tokio::test]
async fn shutdown_disconnects_a_client_that_just_connected() {
    let folder = tempfile::tempdir().unwrap();
    let ipc = format!("ipc://{}/s", folder.path().display());
    for round in 0..100 {
        let server = serve(if round % 2 == 0 { &ipc } else { "tcp://127.0.0.1:0" }).await;
        let mut client = connect(&server.local).await;
        // The client is up before the server has finished the handshake.
        up(&mut client).await;
        assert!(server.shutdown(Duration::from_secs(5)).await);
        assert!(matches!(
            soon("the loss", client.inbound.recv()).await,
            Some(ClientEvent::Down { .. })
        ));
    }
}

#[tokio::test]
async fn binding_a_port_in_use_fails() {
    let server = serve("tcp://127.0.0.1:0").await;
    let refused = Zmtp
        .server(server.local.clone(), ServerLimits::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::InUse { .. }), "{refused}");
}

#[tokio::test]
async fn disconnect_is_the_last_event_of_a_peer() {
    let mut server = serve("tcp://127.0.0.1:0").await;
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    for n in 0..100 {
        client.outbound.try_send(frames(&[&n.to_string()])).unwrap();
    }
    assert!(client.shutdown(Duration::from_secs(5)).await);
    let mut seen = 0;
    let gone = loop {
        match soon("the disconnect", server.inbound.recv()).await.unwrap() {
            ServerEvent::Message { .. } => seen += 1,
            ServerEvent::Verified { .. } => panic!("the server has no wrapper"),
            ServerEvent::Disconnected { peer } => break peer,
        }
    };
    assert_eq!(seen, 100, "shutdown sends all accepted messages");

    server.outbound.send(gone, frames(&["late"])).await.unwrap();
    until("the dropped message to be counted", || {
        server.outbound.counts().dropped == 1
    })
    .await;
}

#[tokio::test]
async fn both_sides_can_disconnect_the_current_connection() {
    let mut server = serve("tcp://127.0.0.1:0").await;
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    let (peer, _) = asked(&mut server).await;
    server.outbound.disconnect(peer.clone()).await.unwrap();
    assert_eq!(
        soon("gone", server.inbound.recv()).await,
        Some(ServerEvent::Disconnected { peer })
    );
    assert!(matches!(
        soon("down", client.inbound.recv()).await,
        Some(ClientEvent::Down { generation: 1, .. })
    ));

    assert_eq!(up(&mut client).await, 2);
    client.outbound.disconnect(1);
    client.outbound.disconnect(2);
    assert!(matches!(
        soon("down", client.inbound.recv()).await,
        Some(ClientEvent::Down { generation: 2, .. })
    ));
    assert_eq!(up(&mut client).await, 3);
}

#[tokio::test]
async fn shutdown_sends_accepted_messages() {
    let mut server = serve("tcp://127.0.0.1:0").await;
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    let (peer, _) = asked(&mut server).await;
    let page = Bytes::from(vec![1; 64 << 10]);
    for _ in 0..200 {
        server
            .outbound
            .send(peer.clone(), vec![page.clone()])
            .await
            .unwrap();
    }
    assert!(server.shutdown(Duration::from_secs(10)).await);
    for _ in 0..200 {
        assert_eq!(answered(&mut client).await, vec![page.clone()]);
    }
}

#[tokio::test]
async fn dropping_the_receiver_or_the_senders_closes_the_socket() {
    let server = serve("tcp://127.0.0.1:0").await;
    let client = connect(&server.local).await;
    let DealerClient {
        inbound,
        mut state,
        outbound,
        ..
    } = client;
    soon(
        "a connection",
        state.wait_for(|state| *state != LinkState::Connecting),
    )
    .await
    .unwrap();
    drop(inbound);
    soon("the end", state.wait_for(|state| *state == LinkState::Closed))
        .await
        .unwrap();
    assert_eq!(outbound.try_send(frames(&["x"])), Err(SendError::Closed));

    let RouterServer {
        inbound,
        outbound,
        local,
        ..
    } = server;
    drop(inbound);
    soon("the end", async {
        while outbound
            .send(RoutingId::new("unknown"), frames(&["x"]))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let Endpoint::Tcp { port, .. } = local else {
        panic!()
    };
    until("a closed port", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    })
    .await;

    let DealerClient {
        mut inbound,
        outbound,
        mut state,
        ..
    } = connect(&endpoint("tcp://127.0.0.1:1")).await;
    drop(outbound);
    soon("the end", state.wait_for(|state| *state == LinkState::Closed))
        .await
        .unwrap();
    assert_eq!(soon("the end", inbound.recv()).await, None);
}

#[tokio::test]
async fn refuses_a_message_without_frames() {
    let server = serve("tcp://127.0.0.1:0").await;
    let client = connect(&server.local).await;
    assert_eq!(client.outbound.try_send(vec![]), Err(SendError::Empty));
    assert_eq!(
        server.outbound.send(RoutingId::new("x"), vec![]).await,
        Err(SendError::Empty)
    );
    assert_eq!(
        server.outbound.try_send(RoutingId::new("x"), vec![]),
        Err(SendError::Empty)
    );
}

#[tokio::test]
async fn refuses_endpoints_that_only_bind() {
    for (to, expected) in [
        ("tcp://*:1", "write one host"),
        ("tcp://127.0.0.1:0", "write the port"),
    ] {
        let error = Zmtp
            .client(endpoint(to), LinkConfig::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The child process of the next test: sends many messages, shuts down, and exits.
#[tokio::test]
async fn sending_child() {
    let Ok(address) = std::env::var("BRUBECK_TEST_SENDING_CHILD") else {
        return;
    };
    let mut client = connect(&endpoint(&address)).await;
    up(&mut client).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    for n in 0..2000 {
        client
            .outbound
            .send_by(vec![Bytes::from(vec![n as u8; 10_000])], deadline)
            .await
            .unwrap();
    }
    let all_left = client.shutdown(Duration::from_secs(20)).await;
    std::process::exit(if all_left { 0 } else { 3 });
}

#[tokio::test]
async fn accepted_messages_are_sent_before_the_process_exits() {
    let mut server = serve("tcp://127.0.0.1:0").await;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["links::sending_child", "--exact"])
        .env("BRUBECK_TEST_SENDING_CHILD", server.local.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for n in 0..2000 {
        assert_eq!(
            asked(&mut server).await.1,
            vec![Bytes::from(vec![n as u8; 10_000])]
        );
    }
    let status = tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}
