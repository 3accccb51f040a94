//! A chat of 500, and what it costs Mongrel2.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::websocket::Wire;
use crate::support::{Gate, child, within};
use brubeck::prelude::*;

/// Their connections take most of the 1024 descriptors that a process usually may open: each test has a process of its own.
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
    gate.knock();
    while let Some(message) = socket.recv().await {
        room.send(message).await;
    }
}

const ROUTES: Routes<Room> = routes![chat];

async fn chatters(laboratory: &Laboratory, gate: &Gate, most: Option<usize>) {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        members.push(Wire::open(laboratory.address, "/chat").await);
    }
    gate.arrived(MEMBERS as u32).await;
    if most.is_some() {
        // The last handshake is counted just after it was sent.
        until(|| laboratory.counts.messages() >= MEMBERS as u64).await;
    }
    let before = laboratory.counts.messages();
    for n in 0..MESSAGES {
        members[n * 7].say(&format!("message {n}")).await;
        for member in &mut members {
            assert_eq!(member.heard().await, format!("message {n}"));
        }
    }
    let used = (laboratory.counts.messages() - before) as usize;
    println!(
        "{MESSAGES} broadcasts to {MEMBERS}: {} delivered, {used} messages to Mongrel2",
        MESSAGES * MEMBERS
    );
    if let Some(most) = most {
        assert!(used <= most * MESSAGES, "{used} messages");
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
async fn broadcast_to_500_clients_takes_four_mongrel2_messages() {
    if !child::isolated(broadcast_to_500_clients_takes_four_mongrel2_messages).await {
        return;
    }
    let (app, gate, all) = room();
    let Some(laboratory) = Laboratory::new(app, plain).await else {
        return;
    };
    chatters(&laboratory, &gate, Some(MEMBERS.div_ceil(128))).await;
    until(|| all.is_empty()).await;
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_to_500_clients_on_the_embedded_server() {
    if !child::isolated(broadcast_to_500_clients_on_the_embedded_server).await {
        return;
    }
    let (app, gate, all) = room();
    let running = App::start(app, Http::bind("127.0.0.1:0").max_connections_per_address(1000))
        .await
        .expect("a port");
    let mut laboratory = Laboratory::embedded(App::new(routes![], ())).await;
    laboratory.address = running
        .address()
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    chatters(&laboratory, &gate, None).await;
    until(|| all.is_empty()).await;
    within(running.stop()).await.expect("an end");
    laboratory.stop().await;
}
