//! Mongrel2 as a managed child process, configured from the routes.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::websocket::WebSocketClient;
use crate::support::{Browser, Gate, behaviour, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::{Mongrel2, Mongrel2Handler};

#[get(r"^/user/(?<id>\d+)$")]
async fn user(id: u64) -> String {
    format!("user {id}")
}

#[websocket("^/live/chat$")]
async fn chat(socket: WebSocket) -> Result<(), Closed> {
    socket.send("hello").await
}

#[json_socket("@game")]
async fn game() {}

const ROUTES: Routes<()> = routes![user, chat, game];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongrel2_configuration_is_generated_from_routes() {
    if !requirements::mongrel2() {
        return;
    }
    let folder = socket_folder();
    let (send, recv) = (socket_address(&folder, "send"), socket_address(&folder, "recv"));
    let config = ROUTES.mongrel2_conf("127.0.0.1:0", Mongrel2Handler::new(&send, &recv));
    let text = config.conf("web-1", "/srv/m2").expect("a configuration");
    assert!(
        text.contains(r#"routes={"/live/chat": handler0, "/user/": handler0, "@game": handler0}"#),
        "{text}"
    );
    let server = with_timeout(config.start()).await.expect("a running Mongrel2");
    let link = Mongrel2::new(send, recv);
    let counts = link.counts();
    let running = with_timeout(App::new(ROUTES, ()).start(link))
        .await
        .expect("a running application");
    assert_eq!(
        Browser::connect(server.address())
            .await
            .get("/user/7")
            .await
            .text(),
        "user 7"
    );
    assert_eq!(
        WebSocketClient::open(server.address(), "/live/chat")
            .await
            .recv_text()
            .await,
        "hello"
    );
    // Mongrel2 itself responds to paths outside of the routes.
    let before = counts.requests();
    let response = Browser::connect(server.address()).await.get("/nothing").await;
    assert_eq!((response.status, counts.requests()), (404, before));
    with_timeout(running.stop()).await.expect("a clean shutdown");
    with_timeout(server.stop()).await.expect("a clean shutdown");
}

/// A killed Mongrel2 is restarted, and the application reconnects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_mongrel2_is_restarted() {
    let Some(test_bed) = TestBed::mongrel2(behaviour::app(&Gate::new()), default_settings).await else {
        return;
    };
    let server = test_bed.server.as_ref().expect("a Mongrel2");
    let pid = server.pid().expect("a running process");
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
    wait_until(|| server.pid().is_some_and(|now| now != pid)).await;
    assert_eq!(test_bed.browser().await.get("/hello").await.text(), "hello");
    test_bed.stop().await;
}
