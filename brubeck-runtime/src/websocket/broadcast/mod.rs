//! Broadcasts: one message to many WebSockets.

mod members;
mod messages;

use super::{SocketMessage, SocketSender, WebSocket};
use members::{Backpressure, Members};
use messages::EncodedMessage;
pub(crate) use messages::{ReadPosition, StoredMessage, WaitingMessages};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Time after which a waiting [`send`](Broadcast::send) checks whether the members still read.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Sends messages to all WebSockets and message sockets that have joined. Clones share the subscribers.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[websocket("^/chat$")]
/// async fn chat(mut socket: WebSocket, room: State<Broadcast>) {
///     let _subscription = room.join(&socket);
///     while let Some(message) = socket.recv().await {
///         room.send(message).await;
///     }
/// }
///
/// #[post("^/announce$")]
/// async fn announce(text: Text, room: State<Broadcast>) -> String {
///     format!("sent to {} clients", room.send(text.0).await)
/// }
///
/// const ROUTES: Routes<Broadcast> = routes![chat, announce];
/// # let _ = App::new(ROUTES, Broadcast::new());
/// ```
///
/// # Order
///
/// All members receive the messages in the same order, also if several tasks send. A member receives the messages that are sent between
/// its joining and its leaving, and they keep their place among those of its own [`send`](WebSocket::send).
///
/// # Slow members
///
/// A burst of messages reaches every member that reads, however long it is: [`send`](Broadcast::send) waits while more than 4 MiB wait for
/// such a member. A member that has read nothing for 40 milliseconds does not delay the others. Its messages are kept, and it is
/// disconnected if it reads nothing for ten seconds, or reads nothing at present while more than 64 MiB wait for it. The client and the
/// handler get the [close](crate::Close) 1008 with the reason `the client does not read its messages`, and the disconnection is logged at
/// the level `info`. A client that does not even read the close within five seconds gets none.
///
/// What counts is what the client reads, not the number or the size of messages; small messages count with 128 bytes more than their
/// content. A client that reads in large steps, as on a slow connection, has twice the time of its latest pauses, at most a second.
/// Behind Mongrel2, [`Mongrel2::control`](crate::Mongrel2::control) or Mongrel2's setting `download.flow_control` reports what a client has
/// read, a little later. Without either, members are assumed to read one MiB per second, and Mongrel2 itself disconnects those that do
/// not, without a close.
///
/// # Memory and cost
///
/// A message is stored once, whatever the number of members, until the last of them has taken it. So at most 64 MiB and the largest
/// message wait, besides the 16 KiB and one message that are being written to each member.
///
/// A message is encoded and, with the feature `deflate`, compressed only once, not once for each member. Behind Mongrel2, one message
/// to Mongrel2 reaches up to 128 connections.
#[derive(Clone, Default)]
pub struct Broadcast(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Held while a message is sent, so that the messages of several senders take turns.
    turn: tokio::sync::Mutex<()>,
    members: Mutex<Members>,
}

/// The subscription of a WebSocket to a [`Broadcast`]. Dropping it ends the subscription.
///
/// ```
/// use brubeck::Subscription;
/// use brubeck::prelude::*;
///
/// #[websocket("^/news$")]
/// async fn news(mut socket: WebSocket, news: State<Broadcast>) {
///     let subscription: Subscription = news.join(&socket);
///     while let Some(message) = socket.recv().await {
///         if message.text() == Some("unsubscribe") {
///             break;
///         }
///     }
///     drop(subscription);
/// }
/// # const ROUTES: Routes<Broadcast> = routes![news];
/// ```
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    broadcast: Arc<Shared>,
    /// The id of the socket.
    id: u64,
}

impl Broadcast {
    /// Creates a broadcast without members: see the example of [`Broadcast`].
    pub fn new() -> Broadcast {
        Broadcast::default()
    }

    /// Subscribes a WebSocket, until the subscription is dropped: see the example of [`Broadcast`].
    pub fn join(&self, socket: &WebSocket) -> Subscription {
        self.join_sender(&socket.sender())
    }

    /// Subscribes the sending half of a WebSocket, until the subscription is dropped.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[websocket("^/news$")]
    /// async fn news(mut socket: WebSocket, news: State<Broadcast>) {
    ///     let sender = socket.sender();
    ///     let subscription = tokio::spawn(async move {
    ///         let subscription = news.join_sender(&sender);
    ///         sender.closed().await;
    ///         drop(subscription);
    ///     });
    ///     while socket.recv().await.is_some() {}
    /// }
    /// # const ROUTES: Routes<Broadcast> = routes![news];
    /// ```
    ///
    /// A WebSocket that joins several times is one member, and receives each message once. It has left when all its subscriptions are
    /// dropped.
    pub fn join_sender(&self, sender: &SocketSender) -> Subscription {
        let route = sender.0.broadcast_route();
        let id = route.id;
        self.0.members().join(route);
        Subscription {
            broadcast: self.0.clone(),
            id,
        }
    }

    /// Subscribes a client until its connection is closed.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[json_socket("@news")]
    /// async fn subscribe(client: SocketSender, news: State<Broadcast>) {
    ///     news.until_closed(&client);
    /// }
    /// # const ROUTES: Routes<Broadcast> = routes![subscribe];
    /// ```
    ///
    /// This method is meant for handlers of [message sockets](SocketSender), which run once for each message of a client: calling it again
    /// for the same client changes nothing. It may be used for WebSockets as well, also together with [`join`](Broadcast::join).
    ///
    /// Outside of a tokio runtime nothing could notice that the connection was closed. There, this logs an error and does not subscribe
    /// the client. The subscription also ends with the runtime.
    pub fn until_closed(&self, sender: &SocketSender) {
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!(
                "`Broadcast::until_closed` was called outside of a tokio runtime, so the client is not subscribed; \
                 call it in a handler, or inside of `Runtime::enter`"
            );
            return;
        };
        let id = sender.0.broadcast_route().id;
        if !self.0.members().until_closed.insert(id) {
            return;
        }
        let subscription = UntilClosed(self.join_sender(sender));
        let sender = sender.clone();
        runtime.spawn(async move {
            let _subscription = subscription;
            sender.closed().await;
        });
    }

    /// Sends a message to all members, and returns their number: see the example of [`Broadcast`].
    ///
    /// A member counts until its subscriptions are dropped, even if its WebSocket is closed.
    /// Delivery is not confirmed. The future completes when the message has its place among those for each member. It waits only
    /// while much waits for a member that reads, see [slow members](Broadcast#slow-members). If the future is dropped before it completes, the
    /// message is not sent.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> usize {
        let message = message.into();
        let _turn = self.0.turn.lock().await;
        self.0.wait_for_readers().await;
        let mut permits = HashMap::new();
        // Encoding takes time, so it is done without the lock, which joining and leaving need.
        let needed: Vec<_> = self.0.members().needed_encodings().collect();
        let mut frames = EncodedMessage::default();
        for encoding in needed {
            frames.add(&message, encoding);
        }
        loop {
            let groups = {
                let mut members = self.0.members();
                let groups = members.groups_without_permit(&permits);
                if groups.is_empty() {
                    members.encode(&message, &mut frames);
                    return members.push(frames, &mut permits);
                }
                groups
            };
            for group in groups {
                let id = group.id();
                permits.insert(id, group.reserve().await);
            }
        }
    }

    /// Returns the number of members: the connections that have joined and not left.
    ///
    /// ```
    /// use brubeck::Broadcast;
    ///
    /// assert_eq!(Broadcast::new().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.0.members().len()
    }

    /// Returns `true` if there are no members.
    ///
    /// ```
    /// use brubeck::Broadcast;
    ///
    /// assert!(Broadcast::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until little waits for each member that reads, and disconnects those that do not and for which too much waits.
    async fn wait_for_readers(&self) {
        // Outside of a tokio runtime there are no timers to wait with.
        if Handle::try_current().is_err() {
            return;
        }
        loop {
            let (pressure, progress) = {
                let mut members = self.members();
                (members.check(), members.progress.clone())
            };
            match pressure {
                Backpressure::None => return,
                Backpressure::Yield => return tokio::task::yield_now().await,
                Backpressure::Wait => {}
            }
            let changed = progress.changed.notified();
            progress.is_awaited.store(true, Release);
            // The time-out also covers progress between the check and this point.
            let _ = tokio::time::timeout(CHECK_INTERVAL, changed).await;
        }
    }
}

/// A subscription that ends when its task is dropped: when the connection is closed, or when the runtime ends.
struct UntilClosed(Subscription);

impl Drop for UntilClosed {
    fn drop(&mut self) {
        let UntilClosed(subscription) = self;
        let mut members = subscription.broadcast.members();
        members.until_closed.remove(&subscription.id);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.broadcast.members().leave(self.id);
    }
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broadcast({} members)", self.len())
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.id)
    }
}
