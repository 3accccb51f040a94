//! Broadcasts: one message to many WebSockets.

use super::{
    BroadcastEncoding, BroadcastGroup, ClientId, SocketMessage, SocketSender, SocketTransport, WebSocket,
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

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
/// A slow subscriber does not delay the others: it is disconnected if more than 1,024 messages or 4 MiB would be queued for it.
///
/// A message is encoded and, with the feature `deflate`, compressed only once, not once for each subscriber. Behind Mongrel2, one message
/// to Mongrel2 reaches up to 128 connections.
#[derive(Clone, Default)]
pub struct Broadcast(Arc<Mutex<Subscribers>>);

#[derive(Default)]
struct Subscribers {
    last_id: u64,
    /// Subscribers that a front end reaches together with others, by the id of their group.
    groups: HashMap<usize, GroupSubscribers>,
    /// All other subscribers, by the id of their subscription.
    individual: HashMap<u64, Arc<dyn SocketTransport>>,
    /// The clients of [`Broadcast::until_closed`] that are in a group, so that none of them is subscribed twice.
    until_closed: HashSet<(usize, ClientId)>,
}

/// The subscribers of one group, by the id of their subscription.
struct GroupSubscribers {
    group: Arc<dyn BroadcastGroup>,
    clients: HashMap<u64, (ClientId, BroadcastEncoding)>,
}

/// The subscription of a WebSocket to a [`Broadcast`]. Dropping it ends the subscription.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Subscription;
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
    subscribers: Arc<Mutex<Subscribers>>,
    id: u64,
    group_id: Option<usize>,
}

impl Broadcast {
    /// Creates a broadcast without subscribers.
    pub fn new() -> Broadcast {
        Broadcast::default()
    }

    /// Subscribes a WebSocket, until the subscription is dropped.
    pub fn join(&self, socket: &WebSocket) -> Subscription {
        self.join_sender(&socket.sender())
    }

    /// Subscribes the sending half of a WebSocket, until the subscription is dropped.
    pub fn join_sender(&self, sender: &SocketSender) -> Subscription {
        let mut subscribers = lock(&self.0);
        subscribers.last_id += 1;
        let id = subscribers.last_id;
        let group_id = match sender.0.group() {
            Some((group, client)) => {
                let group_id = group.id();
                let group = subscribers
                    .groups
                    .entry(group_id)
                    .or_insert_with(|| GroupSubscribers {
                        group,
                        clients: HashMap::new(),
                    });
                group.clients.insert(id, (client, sender.0.encoding()));
                Some(group_id)
            }
            None => {
                subscribers.individual.insert(id, sender.0.clone());
                None
            }
        };
        Subscription {
            subscribers: self.0.clone(),
            id,
            group_id,
        }
    }

    /// Subscribes a client until its connection is closed.
    ///
    /// This method is meant for handlers of [message sockets](SocketSender), which run once for each message of a client. Behind Mongrel2,
    /// nothing happens if this method has subscribed the client before. With the embedded server, each call adds a subscription, so use
    /// [`join`](Broadcast::join) for the WebSockets of that server.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn until_closed(&self, sender: &SocketSender) {
        let client = sender.0.group().map(|(group, client)| (group.id(), client));
        if let Some(client) = &client
            && !lock(&self.0).until_closed.insert(client.clone())
        {
            return;
        }
        let subscription = self.join_sender(sender);
        let sender = sender.clone();
        tokio::spawn(async move {
            sender.closed().await;
            if let Some(client) = client {
                lock(&subscription.subscribers).until_closed.remove(&client);
            }
            drop(subscription);
        });
    }

    /// Sends a message to all subscribers, and returns their number. A subscription counts until it is dropped, even if its WebSocket is
    /// closed.
    ///
    /// A subscriber receives the message after the messages that were sent to it before. Delivery is not confirmed. The future completes
    /// when the front ends have accepted the message; it does not wait for subscribers.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> usize {
        let message = message.into();
        // Copies the subscribers, so that the lock is not held across an `await`.
        let (groups, individual) = {
            let subscribers = lock(&self.0);
            let groups: Vec<(Arc<dyn BroadcastGroup>, Vec<_>)> = subscribers
                .groups
                .values()
                .map(|group| (group.group.clone(), group.clients.values().cloned().collect()))
                .collect();
            let individual: Vec<_> = subscribers.individual.values().cloned().collect();
            (groups, individual)
        };
        let mut count = individual.len();
        // Each encoding is created once, when the first subscriber needs it.
        let mut encoded: HashMap<BroadcastEncoding, Bytes> = HashMap::new();
        let mut encode = |encoding: BroadcastEncoding| {
            encoded
                .entry(encoding)
                .or_insert_with(|| encoding.encode(&message))
                .clone()
        };
        for (group, clients) in groups {
            count += clients.len();
            for encoding in BroadcastEncoding::ALL {
                let recipients: Vec<ClientId> = clients
                    .iter()
                    .filter(|(_, other)| *other == encoding)
                    .map(|(client, _)| client.clone())
                    .collect();
                if !recipients.is_empty() {
                    group.send_to(recipients, encode(encoding)).await;
                }
            }
        }
        for transport in individual {
            transport.send_or_disconnect(encode(transport.encoding()));
        }
        count
    }

    /// Returns the number of subscriptions that have not been dropped.
    pub fn len(&self) -> usize {
        let subscribers = lock(&self.0);
        let grouped: usize = subscribers.groups.values().map(|group| group.clients.len()).sum();
        subscribers.individual.len() + grouped
    }

    /// Returns `true` if there are no subscriptions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = lock(&self.subscribers);
        match self.group_id {
            None => drop(subscribers.individual.remove(&self.id)),
            Some(group_id) => {
                if let Some(group) = subscribers.groups.get_mut(&group_id) {
                    group.clients.remove(&self.id);
                    if group.clients.is_empty() {
                        subscribers.groups.remove(&group_id);
                    }
                }
            }
        }
    }
}

fn lock(subscribers: &Mutex<Subscribers>) -> std::sync::MutexGuard<'_, Subscribers> {
    subscribers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broadcast({} subscribers)", self.len())
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.id)
    }
}
