//! Links without sockets: endpoints are names in a network that is nothing but memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::client::{ClientDriver, client};
use crate::limits::OUTBOX;
use crate::link::{End, Line};
use crate::queue::events::Inlet;
use crate::server::{Outgoing, ServerDriver, server};
use crate::{
    Client, ClientEvent, Endpoint, Generation, Limits, LinkState, Peer, Server, ServerEvent, Timing,
    Transport, TransportError,
};

/// A network of its own: two of these never meet. Clones are one network.
///
/// Nothing here waits for anything but its other end, so it works with a clock that stands still.
#[derive(Clone, Default)]
pub struct InMemory(Arc<Mutex<HashMap<Endpoint, Place>>>);

impl std::fmt::Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

/// Who serves an endpoint now.
type Place = watch::Sender<Option<Arc<Bound>>>;

struct Bound {
    inlet: Inlet<ServerEvent>,
    peers: Mutex<HashMap<Peer, mpsc::Sender<Vec<Bytes>>>>,
    next: AtomicU64,
}

impl Bound {
    fn peers(&self) -> MutexGuard<'_, HashMap<Peer, mpsc::Sender<Vec<Bytes>>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> (Peer, mpsc::Receiver<Vec<Bytes>>) {
        let peer = Peer::new(self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec());
        let (sender, receiver) = mpsc::channel(OUTBOX);
        self.peers().insert(peer.clone(), sender);
        (peer, receiver)
    }

    async fn tell(&self, event: ServerEvent, bytes: usize) {
        if let Some(room) = self.inlet.room().await {
            room.put(event, bytes);
        }
    }
}

impl InMemory {
    fn place(&self, endpoint: &Endpoint) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places
            .entry(endpoint.clone())
            .or_insert_with(|| watch::Sender::new(None));
        place.clone()
    }
}

impl Transport for InMemory {
    fn server(&self, endpoint: Endpoint, limits: Limits) -> BoxFuture<'_, Result<Server, TransportError>> {
        let place = self.place(&endpoint);
        Box::pin(async move {
            let (server, driver) = server(endpoint.clone(), &limits);
            let bound = Arc::new(Bound {
                inlet: driver.inlet.clone(),
                peers: Mutex::default(),
                next: AtomicU64::new(1),
            });
            let taken = !place.send_if_modified(|served| {
                let free = served.is_none();
                if free {
                    *served = Some(bound.clone());
                }
                free
            });
            if taken {
                return Err(TransportError::InUse(endpoint));
            }
            tokio::spawn(serve(driver, bound, place));
            Ok(server)
        })
    }

    fn client(&self, endpoint: Endpoint, timing: Timing) -> Result<Client, TransportError> {
        endpoint.check_connect()?;
        let (client, driver) = client(&timing);
        tokio::spawn(keep_connected(driver, self.place(&endpoint).subscribe()));
        Ok(client)
    }
}

/// Delivers what the handlers send, until the server is closed.
async fn serve(mut driver: ServerDriver, bound: Arc<Bound>, place: Place) {
    let asked = loop {
        tokio::select! {
            outgoing = driver.outbox.recv() => match outgoing {
                Some(outgoing) => deliver(&driver, &bound, outgoing),
                None => break None,
            },
            ask = driver.stop.asked() => break Some(ask),
            () = driver.inlet.closed() => break None,
        }
    };
    while let Ok(outgoing) = driver.outbox.try_recv() {
        deliver(&driver, &bound, outgoing);
    }
    place.send_replace(None);
    // What was delivered is read before the end of it.
    bound.peers().clear();
    if let Some(ask) = asked {
        ask.done(true);
    }
}

fn deliver(driver: &ServerDriver, bound: &Bound, outgoing: Outgoing) {
    let mut peers = bound.peers();
    match outgoing {
        Outgoing::Cut { peer } => {
            peers.remove(&peer);
        }
        Outgoing::Message { peer, frames } => match peers.get(&peer).map(|way| way.try_send(frames)) {
            Some(Ok(())) => driver.counters.sent(),
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                peers.remove(&peer);
                driver.counters.stalled();
            }
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => driver.counters.gone(1),
        },
    }
}

/// Connects whenever somebody serves, until the link is closed.
async fn keep_connected(mut driver: ClientDriver, mut place: watch::Receiver<Option<Arc<Bound>>>) {
    let mut generation: Generation = 0;
    let end = loop {
        let bound = tokio::select! {
            served = place.wait_for(Option::is_some) => match served.as_deref() {
                Ok(Some(bound)) => bound.clone(),
                _ => break None,
            },
            end = driver.line.interrupted() => break end,
        };
        generation += 1;
        let (peer, answers) = bound.connect();
        let ended = talk(&mut driver, generation, &bound, &peer, answers).await;
        bound.peers().remove(&peer);
        bound.tell(ServerEvent::Gone { peer }, 0).await;
        driver.line.lost();
        if let Err(end) = ended {
            break end;
        }
        let down = ClientEvent::Down {
            generation,
            reason: "the other end is gone".into(),
        };
        if let Err(end) = driver.line.tell(down).await {
            break end;
        }
    };
    driver.line.state.send_replace(LinkState::Closed);
    if let Some(ask) = end {
        ask.done(true);
    }
}

/// One connection: `Ok` when it is lost, `Err` when the link has ended.
async fn talk(
    driver: &mut ClientDriver,
    generation: Generation,
    bound: &Bound,
    peer: &Peer,
    mut answers: mpsc::Receiver<Vec<Bytes>>,
) -> Result<(), End> {
    let ClientDriver { line, condemned } = driver;
    line.state.send_replace(LinkState::Up(generation));
    line.tell(ClientEvent::Up { generation }).await?;
    loop {
        tokio::select! {
            outgoing = line.outbox.recv() => match outgoing {
                Some(outgoing) => ask(line, generation, bound, peer, outgoing).await,
                None => return Err(None),
            },
            frames = answers.recv() => match frames {
                Some(frames) => {
                    let bytes = frames.iter().map(Bytes::len).sum();
                    let room = line.inlet.room().await.ok_or(None)?;
                    room.put(ClientEvent::Message { generation, frames }, bytes);
                }
                None => return Ok(()),
            },
            Ok(()) = condemned.changed() => if *condemned.borrow_and_update() >= generation {
                return Ok(());
            },
            () = line.inlet.closed() => return Err(None),
            asked = line.stop.asked() => {
                while let Ok(outgoing) = line.outbox.try_recv() {
                    ask(line, generation, bound, peer, outgoing).await;
                }
                return Err(Some(asked));
            }
        }
    }
}

async fn ask(
    line: &Line<ClientEvent, Vec<Bytes>>,
    generation: Generation,
    bound: &Bound,
    peer: &Peer,
    (meant_for, frames): (Generation, Vec<Bytes>),
) {
    if meant_for != generation {
        return line.counters.gone(1);
    }
    let bytes = frames.iter().map(Bytes::len).sum();
    let message = ServerEvent::Message {
        peer: peer.clone(),
        frames,
    };
    bound.tell(message, bytes).await;
    line.counters.sent();
}
