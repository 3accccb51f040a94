//! One message to many.

use super::{
    BroadcastEncoding, BroadcastGroup, ClientId, SocketMessage, SocketSender, SocketTransport, WebSocket,
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Sends one message to every WebSocket that joined. Clones are one and the same.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[websocket("^/chat$")]
/// async fn chat(mut socket: WebSocket, room: State<Broadcast>) {
///     let _member = room.join(&socket);
///     while let Some(message) = socket.recv().await {
///         room.send(message).await;
///     }
/// }
///
/// #[post("^/announce$")]
/// async fn announce(text: Text, room: State<Broadcast>) -> String {
///     format!("{} listen", room.send(text.0).await)
/// }
///
/// const ROUTES: Routes<Broadcast> = routes![chat, announce];
/// # let _ = App::new(ROUTES, Broadcast::new());
/// ```
///
/// Behind Mongrel2 one message goes to 128 connections at once, so a room of 500 takes 4. With the feature `deflate` it is
/// deflated once for all of them. Sending waits for the front end
/// and never for a member: one that reads so slowly that 1,024 messages or 4 MiB wait for it is cut off.
#[derive(Clone, Default)]
pub struct Broadcast(Arc<Mutex<Subscribers>>);

#[derive(Default)]
struct Subscribers {
    next: u64,
    /// Subscribers that can be reached together with others.
    seated: HashMap<usize, Seated>,
    others: HashMap<u64, Arc<dyn SocketTransport>>,
    /// Those that stay until they are gone, each once.
    staying: HashSet<(usize, ClientId)>,
}

/// The members of one group, and the form in which each takes messages.
type Seated = (
    Arc<dyn BroadcastGroup>,
    HashMap<u64, (ClientId, BroadcastEncoding)>,
);

/// A WebSocket is a member of a [`Broadcast`] until this is dropped.
#[must_use = "dropping it leaves the broadcast"]
pub struct Subscription {
    members: Arc<Mutex<Subscribers>>,
    number: u64,
    group: Option<usize>,
}

impl Broadcast {
    /// Without members.
    pub fn new() -> Broadcast {
        Broadcast::default()
    }

    /// Sends this WebSocket what is broadcast from now on.
    pub fn join(&self, socket: &WebSocket) -> Subscription {
        self.join_sender(&socket.sender())
    }

    /// As [`join`](Broadcast::join), for the sending end alone.
    pub fn join_sender(&self, sender: &SocketSender) -> Subscription {
        let mut members = lock(&self.0);
        members.next += 1;
        let number = members.next;
        let group = match sender.0.group() {
            Some((group, seat)) => {
                let key = group.id();
                let (_, seats) = members
                    .seated
                    .entry(key)
                    .or_insert_with(|| (group, HashMap::new()));
                seats.insert(number, (seat, sender.0.encoding()));
                Some(key)
            }
            None => {
                members.others.insert(number, sender.0.clone());
                None
            }
        };
        Subscription {
            members: self.0.clone(),
            number,
            group,
        }
    }

    /// Sends a client what is broadcast from now on, until its connection is gone. For handlers of
    /// [message sockets](SocketSender), which run once for each message: one that stays already is not joined again.
    pub fn until_closed(&self, sender: &SocketSender) {
        let seat = sender.0.group().map(|(group, seat)| (group.id(), seat));
        if let Some(seat) = &seat
            && !lock(&self.0).staying.insert(seat.clone())
        {
            return;
        }
        let membership = self.join_sender(sender);
        let sender = sender.clone();
        tokio::spawn(async move {
            sender.closed().await;
            if let Some(seat) = seat {
                lock(&membership.members).staying.remove(&seat);
            }
            drop(membership);
        });
    }

    /// Sends a message to all members, and says how many there are. It goes to each after what that one was sent before;
    /// whether it arrives is not known.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> usize {
        let message = message.into();
        let (casts, others) = {
            let members = lock(&self.0);
            let casts: Vec<(Arc<dyn BroadcastGroup>, Vec<_>)> = members
                .seated
                .values()
                .map(|(group, seats)| (group.clone(), seats.values().cloned().collect()))
                .collect();
            (casts, members.others.values().cloned().collect::<Vec<_>>())
        };
        let mut count = others.len();
        // Each form is made once, and only where somebody wants it.
        let mut made: HashMap<BroadcastEncoding, Bytes> = HashMap::new();
        let mut bytes =
            |form: BroadcastEncoding| made.entry(form).or_insert_with(|| form.of(&message)).clone();
        for (group, members) in casts {
            count += members.len();
            for form in BroadcastEncoding::ALL {
                let alike = members.iter().filter(|(_, wanted)| *wanted == form);
                let seats: Vec<ClientId> = alike.map(|(seat, _)| seat.clone()).collect();
                if !seats.is_empty() {
                    group.send_to(seats, bytes(form)).await;
                }
            }
        }
        for carrier in others {
            carrier.send_or_disconnect(bytes(carrier.encoding()));
        }
        count
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        let members = lock(&self.0);
        members.others.len()
            + members
                .seated
                .values()
                .map(|(_, seats)| seats.len())
                .sum::<usize>()
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut members = lock(&self.members);
        match self.group {
            None => drop(members.others.remove(&self.number)),
            Some(key) => {
                if let Some((_, seats)) = members.seated.get_mut(&key) {
                    seats.remove(&self.number);
                    if seats.is_empty() {
                        members.seated.remove(&key);
                    }
                }
            }
        }
    }
}

fn lock(members: &Mutex<Subscribers>) -> std::sync::MutexGuard<'_, Subscribers> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broadcast({} members)", self.len())
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.number)
    }
}
