//! The floor: `zeromq` sockets alone, whole and each on one thread; bytes that nobody reads.

use super::{Flavor, Serving, Side, Transport};
use crate::Result;
use crate::latencies::Latencies;
use crate::load::{self, Load, Seen};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use zeromq::{DealerSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

/// DEALER and ROUTER.
pub struct Raw;

impl Side for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn what(&self) -> &'static str {
        "the floor: the `zeromq` crate alone, DEALER and ROUTER, bytes that nobody parses, nobody authenticated, no deadlines"
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp, Transport::Ipc]
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<Serving>> {
        Box::pin(async move {
            let mut router = RouterSocket::new();
            let address = router.bind(&address).await?.to_string();
            let alive = tokio::spawn(async move {
                // The identity that comes before the message is what it goes back by.
                while let Ok(message) = router.recv().await {
                    if router.send(message).await.is_err() {
                        return;
                    }
                }
            });
            Ok(Serving {
                address,
                pids: Vec::new(),
                alive: Box::new(alive),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<Seen>> {
        Box::pin(async move {
            let mut dealer = DealerSocket::new();
            dealer.connect(&address).await?;
            let body = Bytes::from(load.note.to_json());
            messages(&mut dealer, &body, load.in_flight, load.window / 3).await?;
            load::ready().await?;
            messages(&mut dealer, &body, load.in_flight, load.window).await
        })
    }
}

/// Keeps so many messages under way: one goes out for each that comes back.
async fn messages(
    dealer: &mut DealerSocket,
    body: &Bytes,
    in_flight: usize,
    window: Duration,
) -> Result<Seen> {
    let latencies = Latencies::default();
    let mut sent = VecDeque::new();
    let began = Instant::now();
    for _ in 0..in_flight {
        sent.push_back(Instant::now());
        dealer.send(ZmqMessage::from(body.clone())).await?;
    }
    // One connection keeps the order.
    while let Some(asked) = sent.pop_front() {
        let answer = dealer.recv().await?;
        latencies.add(asked.elapsed());
        if answer.get(0).is_none_or(|frame| frame.len() != body.len()) {
            return Err("the answer is not what was asked".into());
        }
        if began.elapsed() < window {
            sent.push_back(Instant::now());
            dealer.send(ZmqMessage::from(body.clone())).await?;
        }
    }
    Ok(Seen::new(&latencies, began.elapsed()))
}
