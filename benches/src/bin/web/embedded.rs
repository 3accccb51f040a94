//! Servers that are part of the program: brubeck's, hyper alone, and axum.

use ::axum::serve::ListenerExt;
use ::axum::{Router, routing};
use ::brubeck::prelude::*;
use brubeck_benches::{Result, sides::Serving};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::any::Any;
use std::convert::Infallible;
use tokio::net::{TcpListener, TcpStream};

#[get("^/$")]
async fn hello() -> &'static str {
    "hello"
}

/// What brubeck serves, on the embedded server and behind Mongrel2.
pub(crate) const ROUTES: Routes<()> = routes![hello];

pub(crate) async fn brubeck() -> Result<Serving> {
    let running = App::new(ROUTES, ()).start(Http::bind("127.0.0.1:0")).await?;
    let address = running.address().to_owned();
    Ok(up(address, running))
}

/// The connections that brubeck accepts, without what it adds to them: no limits, no routes, no log.
pub(crate) async fn hyper() -> Result<Serving> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream));
        }
    });
    Ok(up(address, serving))
}

async fn speak(stream: TcpStream) {
    let answer = |_| async {
        let mut response = http::Response::new(Full::new(Bytes::from_static(b"hello")));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        Ok::<_, Infallible>(response)
    };
    // Without it small answers wait for an acknowledgement; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(None);
    let http = http.http1_only();
    let connection =
        http.serve_connection_with_upgrades(TokioIo::new(stream), hyper::service::service_fn(answer));
    // A client that breaks off is none of the measurement's business.
    let _ = connection.await;
}

pub(crate) async fn axum() -> Result<Serving> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route("/", routing::get(|| async { "hello" }));
    let serving = tokio::spawn(async move { ::axum::serve(listener, router).await });
    Ok(up(address, serving))
}

fn up(address: String, alive: impl Any + Send) -> Serving {
    Serving {
        address,
        pids: Vec::new(),
        alive: Box::new(alive),
    }
}
