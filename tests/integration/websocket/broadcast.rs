//! A chat with 500 members, and the number of messages that it sends to Mongrel2.

use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::websocket::WebSocketClient;
use crate::support::{Gate, child, with_timeout};
use brubeck::prelude::*;

/// On the embedded server both ends of the connections are in this process. That uses most of the usual limit of 1024
/// descriptors, so each test runs in a process of its own.
const MEMBERS: usize = 500;
const MESSAGES: usize = 10;

#[derive(AppState)]
struct Room {
    all: Broadcast,
    gate: Gate,
}

#[websocket("^/chat$")]
async fn chat(mut socket: WebSocket, room: State<Broadcast>, gate: State<Gate>) {
    let _member = room.join(&socket);
    gate.signal_arrival();
    while let Some(message) = socket.recv().await {
        room.send(message).await;
    }
}

const ROUTES: Routes<Room> = routes![chat];

/// Sends `MESSAGES` messages, and checks that every member receives each of them. `max_messages` limits the messages to
/// Mongrel2 for one broadcast.
async fn run_chat(test_bed: &TestBed, gate: &Gate, max_messages: Option<usize>) {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        members.push(WebSocketClient::open(test_bed.address, "/chat").await);
    }
    gate.wait_for_arrivals(MEMBERS as u32).await;
    if max_messages.is_some() {
        // The last handshake is counted shortly after it was sent.
        wait_until(|| test_bed.counts.messages() >= MEMBERS as u64).await;
    }
    let before = test_bed.counts.messages();
    for n in 0..MESSAGES {
        members[n * 7].send_text(&format!("message {n}")).await;
        for member in &mut members {
            assert_eq!(member.recv_text().await, format!("message {n}"));
        }
    }
    let used = (test_bed.counts.messages() - before) as usize;
    println!(
        "{MESSAGES} broadcasts to {MEMBERS}: {} delivered, {used} messages to Mongrel2",
        MESSAGES * MEMBERS
    );
    if let Some(max) = max_messages {
        assert!(used <= max * MESSAGES, "{used} messages");
    }
    for mut member in members {
        member.send(0x88, b"\x03\xe8").await;
    }
}

fn room() -> (App<Room>, Gate, Broadcast) {
    let (all, gate) = (Broadcast::new(), Gate::new());
    (
        App::new(
            ROUTES,
            Room {
                all: all.clone(),
                gate: gate.clone(),
            },
        ),
        gate,
        all,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_to_500_clients_takes_at_most_four_mongrel2_messages() {
    if !child::isolated(broadcast_to_500_clients_takes_at_most_four_mongrel2_messages).await {
        return;
    }
    let (app, gate, all) = room();
    let Some(test_bed) = TestBed::mongrel2(app, default_settings).await else {
        return;
    };
    run_chat(&test_bed, &gate, Some(MEMBERS.div_ceil(128))).await;
    wait_until(|| all.is_empty()).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_reaches_500_clients_on_the_embedded_server() {
    if !child::isolated(broadcast_reaches_500_clients_on_the_embedded_server).await {
        return;
    }
    let (app, gate, all) = room();
    let running = App::start(app, Http::bind("127.0.0.1:0").max_connections_per_address(1000))
        .await
        .expect("a free port");
    // `TestBed::embedded` has the default limit of connections, so its address is replaced by that of the server above.
    let mut test_bed = TestBed::embedded(App::new(routes![], ())).await;
    test_bed.address = running
        .address()
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    run_chat(&test_bed, &gate, None).await;
    wait_until(|| all.is_empty()).await;
    with_timeout(running.stop()).await.expect("a clean shutdown");
    test_bed.stop().await;
}
