//! The two bound sockets of a [`Hub`]: what a PUSH and a DEALER are to the services that connect.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::hub::{HubDriver, Queue, Ready, hub};
use super::{Hub, HubEvent};
use brubeck_zmtp::codec::PONGS;
use brubeck_zmtp::codec::frames::{FrameLimits, Said};
use brubeck_zmtp::connection::handshake::introduce;
use brubeck_zmtp::connection::random_name;
use brubeck_zmtp::connection::reader::{CLOSED, Incoming};
use brubeck_zmtp::connection::writer::Output;
use brubeck_zmtp::limits::{FRAMES, LINGER};
use brubeck_zmtp::link::End;
use brubeck_zmtp::listener::bind::{self as listener, Listener};
use brubeck_zmtp::queue::events::Inlet;
use brubeck_zmtp::server::peers::size;
use brubeck_zmtp::{Endpoint, Generation, Timing, TransportError};

/// Requests that may wait for one service; then others get them.
const QUEUE: usize = 64;

/// Connections to one of the sockets.
const CONNECTIONS: usize = 1024;

/// How long a peer may take to say what it is.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the service's ROUTER is left alone to learn our identity, which it does on its own time once we have told.
const SETTLE: Duration = Duration::from_millis(20);

/// How long the answers of a service that is gone may still be on their way, on its other connection.
const GRACE: Duration = Duration::from_millis(250);

/// Binds both sockets and starts serving.
pub(crate) fn open(
    requests: &Endpoint,
    responses: &Endpoint,
    timing: &Timing,
) -> Result<Hub, TransportError> {
    let (requests, requests_at) = Bound::open(requests)?;
    let (responses, responses_at) = Bound::open(responses)?;
    let identity = Bytes::from(random_name()?);
    let (hub, driver) = hub(requests_at, responses_at, identity.clone(), timing);
    let HubDriver { inlet, ready, stop } = driver;
    let shared = Arc::new(Shared {
        services: Mutex::default(),
        ready,
        inlet,
        identity,
        limits: FrameLimits {
            message_bytes: timing.inbound_bytes,
            frames: FRAMES,
        },
    });
    super::with_runtime(|| tokio::spawn(serve(requests, responses, shared, stop)))?;
    Ok(hub)
}

/// A bound socket, whose file goes with it.
struct Bound {
    listener: Option<Listener>,
    file: Option<PathBuf>,
}

impl Bound {
    fn open(endpoint: &Endpoint) -> Result<(Bound, Endpoint), TransportError> {
        let (listener, local) = listener::now(endpoint)?;
        let file = match &local {
            Endpoint::Ipc(path) => Some(path.clone()),
            Endpoint::Tcp { .. } => None,
        };
        let bound = Bound {
            listener: Some(listener),
            file,
        };
        Ok((bound, local))
    }

    fn accepting(&mut self) -> std::io::Result<Option<Accepting>> {
        Ok(match self.listener.take() {
            Some(Listener::Tcp(listener)) => Some(Accepting::Tcp(TcpListener::from_std(listener)?)),
            Some(Listener::Ipc(listener)) => Some(Accepting::Ipc(UnixListener::from_std(listener)?)),
            None => None,
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // The next one to bind it would take a file that is left behind anyway.
            let _ = std::fs::remove_file(file);
        }
    }
}

enum Accepting {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type BoxStream = Box<dyn Stream>;

impl Accepting {
    async fn next(&self) -> BoxStream {
        loop {
            let accepted: std::io::Result<BoxStream> = match self {
                Accepting::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    // Small requests would wait for each other's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    Box::new(stream) as BoxStream
                }),
                Accepting::Ipc(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| Box::new(stream) as BoxStream),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "a service could not be let in");
                    // Out of file descriptors, as a rule: trying again at once would only burn a core.
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// What the connections of a hub share.
struct Shared {
    services: Mutex<Services>,
    ready: watch::Sender<Ready>,
    inlet: Inlet<HubEvent>,
    identity: Bytes,
    limits: FrameLimits,
}

#[derive(Default)]
struct Services {
    /// Those that pull requests, by age.
    pulling: BTreeMap<Generation, mpsc::Sender<Bytes>>,
    /// How many are connected for the answers.
    answering: usize,
    last: Generation,
    closed: bool,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Services) -> T) -> T {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut services);
        self.publish(services);
        changed
    }

    /// Nothing tells which two connections belong to one service. So as many may be handed requests as are connected
    /// for the answers, and the eldest first, for it is the newest whose second connection is still to come.
    fn publish(&self, services: MutexGuard<'_, Services>) {
        let ready = services.pulling.iter().take(services.answering);
        let queue = |(generation, requests): (&Generation, &mpsc::Sender<Bytes>)| Queue {
            generation: *generation,
            requests: requests.clone(),
        };
        let ready = (!services.closed).then(|| ready.map(queue).collect());
        self.ready.send_replace(ready);
    }
}

async fn serve(
    mut requests: Bound,
    mut responses: Bound,
    shared: Arc<Shared>,
    mut stop: brubeck_zmtp::link::shutdown::Stop,
) {
    let mut pulling = JoinSet::new();
    let mut answering = JoinSet::new();
    let end: End = match (requests.accepting(), responses.accepting()) {
        (Ok(Some(pulls)), Ok(Some(routers))) => {
            let pull_places = Arc::new(Semaphore::new(CONNECTIONS));
            let router_places = Arc::new(Semaphore::new(CONNECTIONS));
            loop {
                tokio::select! {
                    stream = pulls.next() => if let Ok(place) = pull_places.clone().try_acquire_owned() {
                        let shared = shared.clone();
                        pulling.spawn(async move {
                            hand_out(stream, shared).await;
                            drop(place);
                        });
                    },
                    stream = routers.next() => if let Ok(place) = router_places.clone().try_acquire_owned() {
                        let shared = shared.clone();
                        answering.spawn(async move {
                            take_in(stream, shared).await;
                            drop(place);
                        });
                    },
                    Some(_) = pulling.join_next() => {}
                    Some(_) = answering.join_next() => {}
                    () = shared.inlet.closed() => break None,
                    () = shared.ready.closed() => break None,
                    ask = stop.asked() => break Some(ask),
                }
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "a bound socket cannot be used");
            None
        }
        _ => None,
    };
    // Files first: whoever binds next must not find one that nobody serves.
    drop((requests, responses));
    shared.change(|services| {
        services.closed = true;
        services.pulling.clear();
    });
    let limit = end.as_ref().map_or(LINGER, |ask| ask.linger);
    let all_left = timeout(limit, async { while pulling.join_next().await.is_some() {} })
        .await
        .is_ok();
    if let Some(ask) = end {
        ask.done(all_left);
    }
}

async fn shake_hands(stream: &mut BoxStream, ours: &str, identity: &[u8], wanted: &str) -> bool {
    match timeout(HANDSHAKE, introduce(stream, ours, identity, &[wanted])).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "what connected to be a service was refused");
            false
        }
        Err(_) => {
            tracing::warn!("what connected to be a service did not say what it is");
            false
        }
    }
}

/// One PULL: hands it requests until it goes.
async fn hand_out(mut stream: BoxStream, shared: Arc<Shared>) {
    if !shake_hands(&mut stream, "PUSH", b"", "PULL").await {
        return;
    }
    let (requests, queue) = mpsc::channel(QUEUE);
    let generation = shared.change(|services| {
        services.last += 1;
        if !services.closed {
            services.pulling.insert(services.last, requests);
        }
        services.last
    });
    tracing::debug!(generation, "a service pulls requests");
    let written = write_requests(stream, queue, shared.limits).await;
    let reason = written.err().unwrap_or_else(|| "it was told to go".into());
    let closed = shared.change(|services| {
        services.pulling.remove(&generation);
        services.closed
    });
    if !closed {
        sleep(GRACE).await;
        if let Some(room) = shared.inlet.room().await {
            room.put(HubEvent::Down { generation, reason }, 0);
        }
    }
}

/// Writes what is in the queue, until that ends or the peer does; gives the reason.
async fn write_requests(
    stream: BoxStream,
    mut queue: mpsc::Receiver<Bytes>,
    limits: FrameLimits,
) -> Result<(), String> {
    let (reader, mut writer) = split(stream);
    // It has nothing to say, but its end is only noticed by reading.
    let mut incoming = Incoming::new(reader, limits);
    let (mut output, mut pongs) = (Output::default(), 0);
    loop {
        let writes = !output.is_empty();
        tokio::select! {
            written = output.write_to(&mut writer), if writes => {
                if written.map_err(|error| error.to_string())? == 0 {
                    return Err(CLOSED.to_owned());
                }
                if output.is_empty() {
                    pongs = 0;
                }
            }
            request = queue.recv(), if !writes => {
                let Some(request) = request else {
                    return writer.shutdown().await.map_err(|error| error.to_string());
                };
                output.push(vec![request]);
                while let Ok(request) = queue.try_recv() {
                    output.push(vec![request]);
                }
            }
            said = incoming.next(), if pongs < PONGS => if let Said::Ping(answer) = said? {
                pongs += 1;
                output.put(&answer);
            },
        }
    }
}

/// One ROUTER: takes its answers until it goes.
async fn take_in(mut stream: BoxStream, shared: Arc<Shared>) {
    if !shake_hands(&mut stream, "DEALER", &shared.identity, "ROUTER").await {
        return;
    }
    let mut reading = std::pin::pin!(read_answers(stream, &shared));
    let reason = tokio::select! {
        reason = &mut reading => reason,
        () = sleep(SETTLE) => {
            shared.change(|services| services.answering += 1);
            let reason = reading.await;
            shared.change(|services| services.answering -= 1);
            reason
        }
    };
    tracing::debug!(reason, "a service answers no more");
}

async fn read_answers(stream: BoxStream, shared: &Shared) -> String {
    let (reader, mut writer) = split(stream);
    let mut incoming = Incoming::new(reader, shared.limits);
    loop {
        match incoming.next().await {
            Ok(Said::Message(frames)) => {
                let bytes = size(&frames);
                match shared.inlet.room().await {
                    Some(room) => room.put(HubEvent::Message { frames }, bytes),
                    None => return "nobody wants the answers any more".into(),
                }
            }
            Ok(Said::Ping(answer)) => {
                if let Err(error) = writer.write_all(&answer).await {
                    return error.to_string();
                }
            }
            Err(reason) => return reason,
        }
    }
}
