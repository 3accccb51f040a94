//! Embedded servers: brubeck, hyper alone, and axum.

use ::axum::serve::ListenerExt;
use ::axum::{Router, routing};
use ::brubeck::prelude::*;
use brubeck_benches::{Result, sides::RunningServer};
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

/// The routes of brubeck, on the embedded server and behind Mongrel2.
pub(crate) const ROUTES: Routes<()> = routes![hello];

pub(crate) async fn brubeck() -> Result<RunningServer> {
    let running = App::new(ROUTES, ()).start(Http::bind("127.0.0.1:0")).await?;
    let address = running.address().to_owned();
    Ok(running_server(address, running))
}

/// hyper in the configuration of brubeck, without brubeck's limits, routes and logging.
pub(crate) async fn hyper() -> Result<RunningServer> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_connection(stream));
        }
    });
    Ok(running_server(address, serving))
}

async fn serve_connection(stream: TcpStream) {
    let handler = |_| async {
        let mut response = http::Response::new(Full::new(Bytes::from_static(b"hello")));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        Ok::<_, Infallible>(response)
    };
    // Without this, small responses may wait for an acknowledgement. If it fails, they are only slower.
    let _ = stream.set_nodelay(true);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(None);
    let http = http.http1_only();
    let connection =
        http.serve_connection_with_upgrades(TokioIo::new(stream), hyper::service::service_fn(handler));
    // Connections that the client closes are not errors.
    let _ = connection.await;
}

pub(crate) async fn axum() -> Result<RunningServer> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route("/", routing::get(|| async { "hello" }));
    let serving = tokio::spawn(async move { ::axum::serve(listener, router).await });
    Ok(running_server(address, serving))
}

fn running_server(address: String, alive: impl Any + Send) -> RunningServer {
    RunningServer {
        address,
        pids: Vec::new(),
        alive: Box::new(alive),
    }
}
