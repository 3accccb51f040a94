//! tarpc as in its documentation, with a task for each request.

use super::{Flavor, RunningServer, Side, Transport};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::{Kind, Note, Numbers, Picture};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use std::io;
use tarpc::serde_transport::{tcp, unix};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::{Bincode, Json};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::{ClientMessage, Response, client, context};

/// The service.
#[tarpc::service]
pub trait Echo {
    /// Returns the note.
    async fn echo(note: Note) -> Note;
    /// Returns the bytes.
    async fn bytes(data: Bytes) -> Bytes;
    /// Returns the picture.
    async fn picture(picture: Picture) -> Picture;
    /// Returns the numbers.
    async fn numbers(numbers: Numbers) -> Numbers;
}

#[derive(Clone)]
struct EchoServer;

impl Echo for EchoServer {
    async fn echo(self, _: context::Context, note: Note) -> Note {
        note
    }

    async fn bytes(self, _: context::Context, data: Bytes) -> Bytes {
        data
    }

    async fn picture(self, _: context::Context, picture: Picture) -> Picture {
        picture
    }

    async fn numbers(self, _: context::Context, numbers: Numbers) -> Numbers {
        numbers
    }
}

impl load::Echo for EchoClient {
    async fn echo(&self, note: Note) -> Result<Note> {
        Ok(EchoClient::echo(self, context::current(), note).await?)
    }

    async fn echo_bytes(&self, data: Bytes) -> Result<Bytes> {
        Ok(self.bytes(context::current(), data).await?)
    }

    async fn echo_picture(&self, picture: Picture) -> Result<Picture> {
        Ok(self.picture(context::current(), picture).await?)
    }

    async fn echo_numbers(&self, numbers: Numbers) -> Result<Numbers> {
        Ok(self.numbers(context::current(), numbers).await?)
    }
}

/// tarpc with one of two codecs.
pub enum Tarpc {
    /// JSON.
    Json,
    /// Bincode.
    Bincode,
}

impl Side for Tarpc {
    fn name(&self) -> &'static str {
        match self {
            Tarpc::Json => "tarpc-json",
            Tarpc::Bincode => "tarpc-bincode",
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Tarpc::Json => {
                "tarpc 0.38 with `serde-transport`, JSON, a task for each request, as in its documentation"
            }
            Tarpc::Bincode => "the same, bincode",
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp, Transport::Ipc]
    }

    fn kinds(&self) -> &'static [(Kind, usize)] {
        // A frame has at most 8 MiB, and JSON writes bytes as numbers.
        match self {
            Tarpc::Json => &[(Kind::Json, 8 << 20), (Kind::Array, 2 << 20)],
            Tarpc::Bincode => &[
                (Kind::Json, 8 << 20),
                (Kind::Bytes, 8 << 20),
                (Kind::Nested, 8 << 20),
            ],
        }
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<RunningServer>> {
        match self {
            Tarpc::Json => Box::pin(serve(address, Json::default)),
            Tarpc::Bincode => Box::pin(serve(address, Bincode::default)),
        }
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        match self {
            Tarpc::Json => Box::pin(drive(address, load, Json::default)),
            Tarpc::Bincode => Box::pin(drive(address, load, Bincode::default)),
        }
    }
}

async fn serve<C>(address: String, codec: fn() -> C) -> Result<RunningServer>
where
    C: Serializer<Response<EchoResponse>> + Deserializer<ClientMessage<EchoRequest>> + Unpin + Send + 'static,
    io::Error: From<<C as Serializer<Response<EchoResponse>>>::Error>
        + From<<C as Deserializer<ClientMessage<EchoRequest>>>::Error>,
{
    let (address, server) = match address.strip_prefix("ipc://") {
        Some(path) => {
            let incoming = unix::listen(path, codec).await?;
            (address.clone(), tokio::spawn(respond(incoming)))
        }
        None => {
            let incoming = tcp::listen("127.0.0.1:0", codec).await?;
            (
                format!("tcp://{}", incoming.local_addr()),
                tokio::spawn(respond(incoming)),
            )
        }
    };
    Ok(RunningServer {
        address,
        pids: Vec::new(),
        alive: Box::new(server),
    })
}

async fn respond<T>(incoming: impl Stream<Item = io::Result<T>>)
where
    T: tarpc::Transport<Response<EchoResponse>, ClientMessage<EchoRequest>> + Send + 'static,
{
    let mut incoming = std::pin::pin!(incoming);
    while let Some(Ok(transport)) = incoming.next().await {
        let requests = BaseChannel::with_defaults(transport).execute(EchoServer.serve());
        tokio::spawn(requests.for_each(|response| async {
            tokio::spawn(response);
        }));
    }
}

async fn drive<C>(address: String, load: Load, codec: fn() -> C) -> Result<LoadResults>
where
    C: Serializer<ClientMessage<EchoRequest>> + Deserializer<Response<EchoResponse>> + Unpin + Send + 'static,
    io::Error: From<<C as Serializer<ClientMessage<EchoRequest>>>::Error>
        + From<<C as Deserializer<Response<EchoResponse>>>::Error>,
{
    let config = client::Config::default();
    let client = match address.strip_prefix("ipc://") {
        Some(path) => EchoClient::new(config, unix::connect(path, codec).await?).spawn(),
        None => EchoClient::new(
            config,
            tcp::connect(address.trim_start_matches("tcp://"), codec).await?,
        )
        .spawn(),
    };
    load.drive(client).await
}
