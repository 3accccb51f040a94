//! Message sockets: JSON and XML with a NUL behind, on the port of HTTP.

use crate::laboratory::{Laboratory, plain};
use crate::support::{behaviour, within};
use brubeck::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
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
async fn messages_are_answered_beside_http() {
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
