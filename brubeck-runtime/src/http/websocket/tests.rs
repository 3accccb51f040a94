//! Tests of the driver over a connection in memory, with a paused clock.

use super::*;
use crate::websocket::Broadcast;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

/// A WebSocket without an HTTP connection, and the client's end of its connection.
struct Connection {
    socket: WebSocket,
    client: DuplexStream,
    driver: JoinHandle<()>,
}

fn connect(buffer: usize) -> Connection {
    let (server, client) = tokio::io::duplex(buffer);
    let (driver, socket) = new(1 << 20, None);
    let (sender, stop) = Stop::new(Duration::ZERO);
    let driver = tokio::spawn(async move {
        driver.run(server, stop).await;
        // Dropping it would request a stop.
        drop(sender);
    });
    Connection {
        socket,
        client,
        driver,
    }
}

/// Reads a frame of at most 64 KiB. Returns its first byte and its payload.
async fn read_frame(client: &mut DuplexStream) -> (u8, Vec<u8>) {
    let first = client.read_u8().await.unwrap();
    let length = match client.read_u8().await.unwrap() {
        126 => client.read_u16().await.unwrap().into(),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    client.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

/// The close frame with the reason of the disconnect.
fn too_slow() -> (u8, Vec<u8>) {
    let mut payload = TOO_SLOW.code().to_be_bytes().to_vec();
    payload.extend(TOO_SLOW.reason().as_bytes());
    (0x88, payload)
}

#[tokio::test(start_paused = true)]
async fn member_that_reads_nothing_for_ten_seconds_gets_the_reason_when_it_reads_again() {
    let Connection {
        mut socket,
        mut client,
        ..
    } = connect(1000);
    let room = Broadcast::new();
    let _subscription = room.join(&socket);
    let start = Instant::now();
    for n in 0..100 {
        room.send(format!("{n:0500}")).await;
    }
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.ended(), Some(&TOO_SLOW));
    assert_eq!(start.elapsed(), STALL_TIMEOUT);
    assert!(socket.send("late").await.is_err());
    // The frames that are in the buffer, then the rest of the one that was begun, and the close frame.
    for n in 0..2 {
        assert_eq!(
            read_frame(&mut client).await,
            (0x81, format!("{n:0500}").into_bytes())
        );
    }
    assert_eq!(read_frame(&mut client).await, too_slow());
}

#[tokio::test(start_paused = true)]
async fn connection_of_a_member_that_never_reads_is_closed() {
    let Connection {
        socket,
        client,
        driver,
        ..
    } = connect(1000);
    let room = Broadcast::new();
    let _subscription = room.join(&socket);
    for n in 0..100 {
        room.send(format!("{n:0500}")).await;
    }
    driver.await.unwrap();
    assert_eq!(socket.ended(), Some(&TOO_SLOW));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn slow_member_that_reads_within_ten_seconds_stays() {
    let Connection {
        socket, mut client, ..
    } = connect(1000);
    let room = Broadcast::new();
    let _subscription = room.join(&socket);
    for n in 0..100 {
        room.send(format!("{n:0500}")).await;
    }
    let mut next = 0;
    while next < 100 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let (first, payload) = read_frame(&mut client).await;
        if first == 0x81 {
            assert_eq!(payload, format!("{next:0500}").into_bytes());
            next += 1;
        }
    }
    assert_eq!(socket.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn handler_may_wait_for_a_client_that_does_not_read() {
    let Connection {
        socket, mut client, ..
    } = connect(1000);
    let sender = socket.sender();
    let sending = tokio::spawn(async move {
        for n in 0..1000 {
            sender.send(format!("{n:0500}")).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(socket.ended(), None);
    let mut next = 0;
    while next < 1000 {
        let (first, payload) = read_frame(&mut client).await;
        if first == 0x81 {
            assert_eq!(payload, format!("{next:0500}").into_bytes());
            next += 1;
        }
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silent_client_that_does_not_read_either_is_disconnected_after_four_intervals() {
    let Connection {
        mut socket,
        client: _client,
        ..
    } = connect(1000);
    let sender = socket.sender();
    tokio::spawn(async move { while sender.send("x".repeat(500)).await.is_ok() {} });
    let start = Instant::now();
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.ended(), Some(&Close::BROKEN));
    assert_eq!(start.elapsed(), 4 * PING_INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn messages_before_a_close_are_sent_to_a_slow_client() {
    let Connection {
        socket,
        mut client,
        driver,
        ..
    } = connect(1000);
    socket.send("x".repeat(60_000)).await.unwrap();
    socket.close(Close::new(4000, "bye"));
    assert!(socket.send("late").await.is_err());
    assert!(socket.sender().send("late").await.is_err());
    let mut received = 0;
    // More than the time for a closing handshake, which begins with the close frame.
    while received < 60_004 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut bytes = [0; 1000];
        let count = client.read(&mut bytes).await.unwrap();
        received += count.min(60_004 - received);
        if received == 60_004 {
            break;
        }
    }
    drop(client);
    driver.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_only_pings_does_not_fill_the_memory() {
    let Connection {
        socket: _socket,
        mut client,
        ..
    } = connect(1000);
    let ping = [&b"\x89\xfd\0\0\0\0"[..], &[b'p'; 125]].concat();
    let flood = async {
        loop {
            client.write_all(&ping).await.unwrap();
        }
    };
    // It does not read the pongs, so at some point the server stops to read its pings.
    assert!(timeout(Duration::from_secs(1), flood).await.is_err());
    for _ in 0..7 {
        assert_eq!(read_frame(&mut client).await, (0x8a, vec![b'p'; 125]));
    }
}

#[tokio::test(start_paused = true)]
async fn client_close_ends_the_socket_at_once_even_if_it_does_not_read() {
    let Connection {
        mut socket,
        mut client,
        ..
    } = connect(1000);
    socket.send("x".repeat(60_000)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    client.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.ended(), Some(&Close::NORMAL));
    assert!(
        start.elapsed() < Duration::from_millis(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn socket_whose_upgrade_fails_is_closed() {
    let (driver, mut socket) = new(1000, None);
    let room = Broadcast::new();
    room.until_closed(&socket.sender());
    drop(driver);
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.ended(), Some(&Close::BROKEN));
    assert!(socket.send("late").await.is_err());
    socket.sender().closed().await;
    while !room.is_empty() {
        tokio::task::yield_now().await;
    }
}
