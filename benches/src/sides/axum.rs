//! JSON over HTTP/1.1: an axum server, and hyper's pooled client with a connection for each call in flight.

use super::{Flavor, RunningServer, Side};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::{Kind, Note};
use axum::extract::DefaultBodyLimit;
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

async fn echo_bytes(data: Bytes) -> Bytes {
    data
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
        let response = self.client.request(request).await?.into_body().collect().await?;
        Ok(serde_json::from_slice(&response.to_bytes())?)
    }

    async fn echo_bytes(&self, data: Bytes) -> Result<Bytes> {
        let uri = http::Uri::from_maybe_shared(format!(
            "{}/bytes",
            self.uri.to_string().trim_end_matches("/echo")
        ))?;
        let request = http::Request::post(uri).body(Full::from(data))?;
        Ok(self
            .client
            .request(request)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes())
    }
}

/// `axum::serve` and a pooled client.
pub struct Axum;

impl Side for Axum {
    fn name(&self) -> &'static str {
        "axum"
    }

    fn description(&self) -> &'static str {
        "axum 0.8, JSON over HTTP/1.1, and hyper's pooled client: a connection for each call in flight"
    }

    fn kinds(&self) -> &'static [(Kind, usize)] {
        &[(Kind::Json, usize::MAX), (Kind::Bytes, usize::MAX)]
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, _: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = format!("http://{}/echo", listener.local_addr()?);
            let listener = listener.tap_io(|stream| {
                // Without this, the last packet of a response may wait for an acknowledgement. If it fails, the response is only slower.
                let _ = stream.set_nodelay(true);
            });
            let router = Router::new()
                .route("/echo", post(echo))
                .route("/bytes", post(echo_bytes))
                .layer(DefaultBodyLimit::disable());
            let serving = tokio::spawn(async move { axum::serve(listener, router).await });
            Ok(RunningServer {
                address,
                pids: Vec::new(),
                alive: Box::new(serving),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        Box::pin(async move {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client = Client::builder(TokioExecutor::new()).build(connector);
            let uri = address.parse()?;
            load.drive(Caller { client, uri }).await
        })
    }
}
