//! tonic with unary calls. The service is written by hand, because tonic's code generator needs `protoc`.

use super::{Flavor, RunningServer, Side};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::Note;
use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const PATH: PathAndQuery = PathAndQuery::from_static("/echo.Echo/Echo");

/// A note as a protobuf message.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    author: String,
    #[prost(bool, tag = "3")]
    seen: bool,
    #[prost(string, tag = "4")]
    text: String,
}

impl From<Note> for Message {
    fn from(
        Note {
            id,
            author,
            seen,
            text,
        }: Note,
    ) -> Message {
        Message {
            id,
            author,
            seen,
            text,
        }
    }
}

impl From<Message> for Note {
    fn from(
        Message {
            id,
            author,
            seen,
            text,
        }: Message,
    ) -> Note {
        Note {
            id,
            author,
            seen,
            text,
        }
    }
}

/// The service.
#[derive(Clone)]
struct Echo;

impl Echo {
    async fn echo(request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "echo.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != PATH.path() {
                return Ok(Status::unimplemented("").into_http());
            }
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(tower::service_fn(Echo::echo), request).await)
        })
    }
}

impl load::Echo for Channel {
    async fn echo(&self, note: Note) -> Result<Note> {
        let mut grpc = tonic::client::Grpc::new(self.clone());
        grpc.ready().await?;
        let request = Request::new(Message::from(note));
        let response: Response<Message> = grpc.unary(request, PATH, ProstCodec::default()).await?;
        Ok(response.into_inner().into())
    }
}

/// Protobuf over one HTTP/2 connection.
pub struct Tonic;

impl Side for Tonic {
    fn name(&self) -> &'static str {
        "tonic"
    }

    fn description(&self) -> &'static str {
        "tonic 0.14, unary calls, protobuf over one HTTP/2 connection"
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, _: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
            let address = format!("http://{}", incoming.local_addr()?);
            let serving = Server::builder().add_service(Echo).serve_with_incoming(incoming);
            Ok(RunningServer {
                address,
                pids: Vec::new(),
                alive: Box::new(tokio::spawn(serving)),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        Box::pin(async move {
            let channel = Channel::from_shared(address)?.connect().await?;
            load.drive(channel).await
        })
    }
}
