//! The lower bound: sockets of the `zeromq` crate alone, each on one thread, with bytes that are not parsed.

use super::{Flavor, RunningServer, Side, Transport};
use crate::Result;
use crate::latencies::Latencies;
use crate::load::{self, Load, LoadResults};
use crate::work::{Kind, Work};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use zeromq::{DealerSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

/// A ROUTER that sends each message back, and a DEALER that sends the messages.
pub struct Raw;

impl Side for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn description(&self) -> &'static str {
        "the lower bound: DEALER and ROUTER of the `zeromq` crate alone, without parsing, authentication or deadlines"
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp, Transport::Ipc]
    }

    fn kinds(&self) -> &'static [(Kind, usize)] {
        &[(Kind::Json, usize::MAX), (Kind::Bytes, usize::MAX)]
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async move {
            let mut router = RouterSocket::new();
            let address = router.bind(&address).await?.to_string();
            let alive = tokio::spawn(async move {
                // The first frame is the identity of the client, to which the ROUTER sends the message back.
                while let Ok(message) = router.recv().await {
                    if router.send(message).await.is_err() {
                        return;
                    }
                }
            });
            Ok(RunningServer {
                address,
                pids: Vec::new(),
                alive: Box::new(alive),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        Box::pin(async move {
            let mut dealer = DealerSocket::new();
            dealer.connect(&address).await?;
            let body = match load.work {
                Work::Note(note) => note.to_json().into(),
                Work::Bytes(bytes) => bytes,
                other => return Err(format!("no such work: {other:?}").into()),
            };
            messages(&mut dealer, &body, load.in_flight, load.window / 3).await?;
            load::wait_for_measurement().await?;
            messages(&mut dealer, &body, load.in_flight, load.window).await
        })
    }
}

/// Keeps `in_flight` messages in flight: sends one for each that is received.
async fn messages(
    dealer: &mut DealerSocket,
    body: &Bytes,
    in_flight: usize,
    window: Duration,
) -> Result<LoadResults> {
    let latencies = Latencies::default();
    let mut sent = VecDeque::new();
    let began = Instant::now();
    for _ in 0..in_flight {
        sent.push_back(Instant::now());
        dealer.send(ZmqMessage::from(body.clone())).await?;
    }
    // The responses have the order of the requests, because there is one connection.
    while let Some(asked) = sent.pop_front() {
        let response = dealer.recv().await?;
        latencies.add(asked.elapsed());
        if response.get(0).is_none_or(|frame| frame.len() != body.len()) {
            return Err("the response differs from the request".into());
        }
        if began.elapsed() < window {
            sent.push_back(Instant::now());
            dealer.send(ZmqMessage::from(body.clone())).await?;
        }
    }
    Ok(LoadResults::new(&latencies, began.elapsed()))
}
