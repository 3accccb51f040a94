//! JSON over HTTP/1.1: an axum server, and hyper's client with a connection for each call under way.

use super::{Flavor, Serving, Side};
use crate::Result;
use crate::load::{self, Load, Seen};
use crate::work::Note;
use axum::serve::ListenerExt;
use axum::{Json, Router, routing::post};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

async fn echo(Json(note): Json<Note>) -> Json<Note> {
    Json(note)
}

/// A client of one address.
#[derive(Clone)]
struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: http::Uri,
}

impl load::Echo for Caller {
    async fn echo(&self, note: Note) -> Result<Note> {
        let request = http::Request::post(self.uri.clone())
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::from(note.to_json()))?;
        let answer = self.client.request(request).await?.into_body().collect().await?;
        Ok(serde_json::from_slice(&answer.to_bytes())?)
    }
}

/// `axum::serve` and a pool of connections.
pub struct Axum;

impl Side for Axum {
    fn name(&self) -> &'static str {
        "axum"
    }

    fn what(&self) -> &'static str {
        "axum 0.8, JSON over HTTP/1.1, and hyper's pooled client: a connection for each call in flight"
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, _: String) -> BoxFuture<'static, Result<Serving>> {
        Box::pin(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = format!("http://{}/echo", listener.local_addr()?);
            let listener = listener.tap_io(|stream| {
                // Without it the last packet of an answer may wait; the stream works all the same.
                let _ = stream.set_nodelay(true);
            });
            let router = Router::new().route("/echo", post(echo));
            let serving = tokio::spawn(async move { axum::serve(listener, router).await });
            Ok(Serving {
                address,
                pids: Vec::new(),
                alive: Box::new(serving),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<Seen>> {
        Box::pin(async move {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client = Client::builder(TokioExecutor::new()).build(connector);
            let uri = address.parse()?;
            load.drive(Caller { client, uri }).await
        })
    }
}
