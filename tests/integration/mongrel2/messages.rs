//! Message sockets: JSON and XML with a NUL behind, on the port of HTTP.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::websocket::Wire;
use crate::support::{Gate, behaviour, within};
use brubeck::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[derive(serde::Deserialize, serde::Serialize)]
struct Said {
    text: String,
}

#[json_socket("@chat")]
async fn chat(said: Json<Said>) -> Reply<Said> {
    Reply::new(Said {
        text: said.0.text.to_uppercase(),
    })
}

#[json_socket("<chat")]
async fn markup(message: Message) -> Vec<u8> {
    message.body().to_vec()
}

#[get("^/hello$")]
async fn hello() -> &'static str {
    "hello"
}

const ROUTES: Routes<()> = routes![chat, markup, hello];

async fn ask(stream: &mut BufReader<TcpStream>, text: &str) -> String {
    within(async {
        stream
            .write_all(text.as_bytes())
            .await
            .expect("an open connection");
        stream.write_all(b"\0").await.expect("an open connection");
        let mut answer = Vec::new();
        stream
            .read_until(0, &mut answer)
            .await
            .expect("an open connection");
        String::from_utf8(answer).expect("UTF-8")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_sockets_share_the_port_with_http() {
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, ()), plain).await else {
        return;
    };
    let stream = TcpStream::connect(laboratory.address).await.expect("a server");
    let mut stream = BufReader::new(stream);
    assert_eq!(
        ask(&mut stream, r#"@chat {"text":"hello"}"#).await,
        "{\"text\":\"HELLO\"}\0"
    );
    assert_eq!(
        ask(&mut stream, "<chat><b>hello</b>").await,
        "<chat><b>hello</b>\0"
    );
    let refused = ask(&mut stream, r#"@chat {"text":7}"#).await;
    assert!(refused.contains("400") && refused.ends_with('\0'), "{refused}");
    // Looks like the notice that this client is gone, but only Mongrel2 can send one.
    let forged = ask(&mut stream, r#"@chat {"type":"disconnect"}"#).await;
    assert!(forged.contains("400"), "{forged}");
    assert_eq!(
        ask(&mut stream, r#"@chat {"text":"still here"}"#).await,
        "{\"text\":\"STILL HERE\"}\0"
    );
    within(stream.write_all(behaviour::request("/hello").as_bytes()))
        .await
        .expect("an open connection");
    let mut line = String::new();
    within(stream.read_line(&mut line))
        .await
        .expect("an open connection");
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    laboratory.stop().await;
}

#[derive(AppState)]
struct Desk {
    news: Broadcast,
    gate: Gate,
}

#[derive(serde::Deserialize)]
struct Wish {
    name: String,
}

/// Stays for the news, and is told how many do.
#[json_socket("@news")]
async fn subscribe(wish: Json<Wish>, client: SocketSender, news: State<Broadcast>) -> String {
    news.until_closed(&client);
    format!("{} is one of {}", wish.0.name, news.len())
}

/// A page hears the same.
#[websocket("^/news$")]
async fn watch(mut socket: WebSocket, news: State<Broadcast>, gate: State<Gate>) {
    let _member = news.join(&socket);
    gate.knock();
    while socket.recv().await.is_some() {}
}

/// Is sent three pieces for each time the gate is opened, and then hung up on.
#[json_socket("@clock")]
async fn clock(client: SocketSender, gate: State<Gate>) -> &'static str {
    let gate = gate.0.clone();
    tokio::spawn(async move {
        for n in 0..2 {
            gate.pass().await;
            for part in 0..3 {
                client.send(format!("{n}.{part}")).await.expect("a client");
            }
        }
        gate.pass().await;
        client.close(Close::NORMAL);
        client.closed().await;
        assert!(client.send("late").await.is_err());
        gate.knock();
    });
    "begun"
}

/// Tells the test when its client is gone.
#[json_socket("@watched")]
async fn watched(client: SocketSender, gate: State<Gate>) -> &'static str {
    let gate = gate.0.clone();
    tokio::spawn(async move {
        client.closed().await;
        gate.knock();
    });
    "watched"
}

#[json_socket("@never")]
async fn never(gate: State<Gate>) {
    gate.pass().await;
}

/// On the embedded server there is nobody to keep.
#[get("^/nobody$")]
async fn nobody(_client: SocketSender) {}

const PUSHED: Routes<Desk> = routes![subscribe, watch, clock, watched, never, nobody];
const NAMES: &[&str] = &["/", "@news", "@clock", "@watched", "@never"];

async fn desk(
    laboratory: impl AsyncFnOnce(App<Desk>) -> Option<Laboratory>,
) -> Option<(Laboratory, Broadcast, Gate)> {
    let (news, gate) = (Broadcast::new(), Gate::new());
    let desk = Desk {
        news: news.clone(),
        gate: gate.clone(),
    };
    let app = App::new(PUSHED, desk).timeout(Duration::from_millis(200));
    Some((laboratory(app).await?, news, gate))
}

async fn behind(app: App<Desk>) -> Option<Laboratory> {
    Laboratory::routed(app, NAMES, plain).await
}

async fn client(laboratory: &Laboratory) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(laboratory.address).await.expect("a server"))
}

async fn hear(stream: &mut BufReader<TcpStream>) -> String {
    let mut said = Vec::new();
    within(stream.read_until(0, &mut said))
        .await
        .expect("an open connection");
    assert_eq!(said.pop(), Some(0), "the connection ended");
    String::from_utf8(said).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_reaches_message_sockets_and_websockets() {
    let Some((laboratory, news, gate)) = desk(behind).await else {
        return;
    };
    let mut page = Wire::open(laboratory.address, "/news").await;
    gate.arrived(1).await;
    let mut clients = Vec::new();
    for n in 1..=10 {
        let mut client = client(&laboratory).await;
        let said = ask(&mut client, &format!(r#"@news {{"name":"{n}"}}"#)).await;
        assert_eq!(said, format!("{n} is one of {}\0", n + 1));
        clients.push(client);
    }
    // Who asks again does not stay twice.
    let said = ask(&mut clients[3], r#"@news {"name":"again"}"#).await;
    assert_eq!(said, "again is one of 11\0");
    // The last answer is counted just after it was sent: one to the page, eleven to clients.
    until(|| laboratory.counts.messages() >= 12).await;
    let before = laboratory.counts.messages();
    for n in 0..10 {
        assert_eq!(news.send(format!("{{\"news\":{n}}}")).await, 11);
        for client in &mut clients {
            assert_eq!(hear(client).await, format!("{{\"news\":{n}}}"));
        }
        assert_eq!(page.heard().await, format!("{{\"news\":{n}}}"));
    }
    // One message for the ten, and one for the page.
    until(|| laboratory.counts.messages() >= before + 20).await;
    assert_eq!(laboratory.counts.messages(), before + 20);
    // The notice of Mongrel2 ends it for those that go.
    clients.truncate(4);
    until(|| news.len() == 5).await;
    assert_eq!(news.send("to the rest").await, 5);
    for client in &mut clients {
        assert_eq!(hear(client).await, "to the rest");
        assert_eq!(ask(client, r#"@news {"name":"x"}"#).await, "x is one of 5\0");
    }
    drop(clients);
    drop(page);
    until(|| news.is_empty()).await;
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_socket_client_receives_pushes_until_closed() {
    let Some((laboratory, _, gate)) = desk(behind).await else {
        return;
    };
    let mut first = client(&laboratory).await;
    assert_eq!(ask(&mut first, "@clock {}").await, "begun\0");
    for n in 0..2 {
        gate.arrived(1).await;
        gate.open(1);
        for part in 0..3 {
            assert_eq!(hear(&mut first).await, format!("{n}.{part}"));
        }
        // What answers goes its way between.
        assert!(ask(&mut first, "@never {}").await.contains("504"));
        gate.arrived(1).await;
    }
    gate.arrived(1).await;
    gate.open(1);
    let mut rest = Vec::new();
    within(first.read_to_end(&mut rest)).await.expect("an end");
    assert_eq!(rest, b"");
    gate.arrived(1).await;

    let mut second = client(&laboratory).await;
    assert_eq!(ask(&mut second, "@watched {}").await, "watched\0");
    drop(second);
    gate.arrived(1).await;

    // An application that stops hangs up, so that the client connects again.
    let mut third = client(&laboratory).await;
    assert_eq!(ask(&mut third, "@watched {}").await, "watched\0");
    laboratory.running.handle().drain();
    within(third.read_to_end(&mut rest)).await.expect("an end");
    gate.arrived(1).await;
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_sender_is_500_outside_message_sockets() {
    let laboratory = async |app| Some(Laboratory::embedded(app).await);
    let Some((laboratory, ..)) = desk(laboratory).await else {
        return;
    };
    let answer = laboratory.browser().await.get("/nobody").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("message sockets"), "{answer:?}");
    laboratory.stop().await;
}
