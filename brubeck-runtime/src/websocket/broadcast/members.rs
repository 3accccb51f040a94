//! The members of a broadcast, and how far each of them has read.

use super::messages::{DeliveryProgress, EncodedMessage, ReadPosition, StoredMessage};
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, BroadcastRoute, BroadcastTarget, ClientId, GroupMessage, GroupPermit,
    ReadProgress, Recipient, SendQueue, SocketMessage,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that may wait for a member before [`send`](super::Broadcast::send) waits for it, as long as it reads.
const SEND_AHEAD_BYTES: u64 = 4 << 20;

/// Bytes that may wait for a member that does not read at present. It is disconnected if more do.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// Time without reading after which [`send`](super::Broadcast::send) does not wait for a member. The same time passes, without further
/// messages, before a member is disconnected: whatever else runs on the threads of the runtime has a chance to let the member read. Both
/// times are twice the [pauses](ReadProgress::pause) of the member, if these are longer: the buffers of a slow connection are emptied in
/// large steps.
const PATIENCE: Duration = Duration::from_millis(40);

/// Time without any progress after which [`send`](super::Broadcast::send) does not wait for a member whose front end does not say that it
/// reads nothing: the front end itself may be stuck.
const FRONT_END_PATIENCE: Duration = Duration::from_secs(1);

/// The members of a broadcast, by the id of their socket, and the messages for them.
#[derive(Default)]
pub(super) struct Members {
    by_id: HashMap<u64, Member>,
    /// The number of members that have not left.
    joined: usize,
    /// The number of joined members for each encoding.
    encodings: [usize; BroadcastEncoding::ALL.len()],
    /// Members that a front end reaches together with others, by the id of their group.
    groups: HashMap<usize, MemberGroup>,
    /// The cost of all messages so far, in bytes.
    end: u64,
    last: Weak<StoredMessage>,
    pub(super) progress: Arc<DeliveryProgress>,
    /// `true` if more than [`SEND_AHEAD_BYTES`] may wait for a member.
    has_backlog: bool,
    /// The members of [`until_closed`](super::Broadcast::until_closed).
    pub(super) until_closed: HashSet<u64>,
}

struct Member {
    /// The number of subscriptions. A member without subscriptions has left, and gets the messages that were sent before.
    subscriptions: usize,
    encoding: BroadcastEncoding,
    target: MemberTarget,
    position: Arc<ReadPosition>,
    reading: Arc<ReadProgress>,
    is_cut_off: bool,
    /// The [end](StoredMessage::end) of the last message that was passed to the front end of the member.
    sent: u64,
    /// The position at the last check, and the time at which it was reached or at which little waited for the member.
    last_taken: u64,
    last_progress: Instant,
    /// The time since which too much waits for the member, while it does not read.
    over_limit_since: Option<Instant>,
}

/// What a send must do before it adds a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Backpressure {
    /// Little waits for each member.
    None,
    /// Much waits for members that do not read, which may be because they had no time on this thread.
    Yield,
    /// Much waits for a member that reads, or it is not yet sure that a member does not read.
    Wait,
}

enum MemberTarget {
    SendQueue(Arc<SendQueue>),
    Group { id: usize, client: ClientId },
}

struct MemberGroup {
    group: Arc<dyn BroadcastGroup>,
    members: HashSet<u64>,
    /// The recipients of the next message, unless a member has joined or left since the last one.
    recipients: Option<Arc<[Recipient]>>,
}

impl Members {
    /// Adds a subscription of a socket.
    pub(super) fn join(&mut self, route: BroadcastRoute) {
        let (end, progress) = (self.end, &self.progress);
        let member = self.by_id.entry(route.id).or_insert_with(|| {
            let target = match route.target {
                BroadcastTarget::SendQueue(send_queue) => MemberTarget::SendQueue(send_queue),
                BroadcastTarget::Group(group, client) => {
                    let id = group.id();
                    let new_group = || MemberGroup {
                        group,
                        members: HashSet::new(),
                        recipients: None,
                    };
                    self.groups.entry(id).or_insert_with(new_group);
                    MemberTarget::Group { id, client }
                }
            };
            Member {
                subscriptions: 0,
                encoding: route.encoding,
                target,
                position: Arc::new(ReadPosition::new(end, progress.clone())),
                reading: route.reading,
                is_cut_off: false,
                sent: end,
                last_taken: end,
                last_progress: Instant::now(),
                over_limit_since: None,
            }
        });
        member.subscriptions += 1;
        if member.subscriptions > 1 {
            return;
        }
        self.joined += 1;
        self.encodings[member.encoding as usize] += 1;
        if let MemberTarget::Group { id, .. } = member.target
            && let Some(group) = self.groups.get_mut(&id)
        {
            group.members.insert(route.id);
            group.recipients = None;
        }
    }

    /// Removes a subscription. Messages that were sent before still reach the member.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(member) = self.by_id.get_mut(&id) else {
            return;
        };
        member.subscriptions -= 1;
        if member.subscriptions > 0 {
            return;
        }
        self.joined -= 1;
        self.encodings[member.encoding as usize] -= 1;
        if let MemberTarget::Group { id: group_id, .. } = member.target
            && let Some(group) = self.groups.get_mut(&group_id)
        {
            group.members.remove(&id);
            group.recipients = None;
            if group.members.is_empty() {
                self.groups.remove(&group_id);
            }
        }
        if member.has_left() {
            self.by_id.remove(&id);
        }
    }

    /// Returns the number of members.
    pub(super) fn len(&self) -> usize {
        self.joined
    }

    /// Adds the encodings that the members need, and that `frames` does not have.
    pub(super) fn encode(&self, message: &SocketMessage, frames: &mut EncodedMessage) {
        for encoding in self.needed_encodings() {
            frames.add(message, encoding);
        }
    }

    pub(super) fn needed_encodings(&self) -> impl Iterator<Item = BroadcastEncoding> {
        let encodings = self.encodings;
        BroadcastEncoding::ALL
            .into_iter()
            .filter(move |encoding| encodings[*encoding as usize] > 0)
    }

    /// Returns the groups for which there is no permit yet.
    pub(super) fn groups_without_permit(
        &self,
        permits: &HashMap<usize, Option<GroupPermit>>,
    ) -> Vec<Arc<dyn BroadcastGroup>> {
        let missing = self.groups.iter().filter(|(id, _)| !permits.contains_key(id));
        missing.map(|(_, group)| group.group.clone()).collect()
    }

    /// Passes a message to all members. `permits` has a permit for each group, unless its front end has ended.
    pub(super) fn push(
        &mut self,
        frames: EncodedMessage,
        permits: &mut HashMap<usize, Option<GroupPermit>>,
    ) -> usize {
        let message = StoredMessage::append(frames, self.end, self.last.upgrade());
        self.end = message.end();
        self.last = Arc::downgrade(&message);
        let (end, has_backlog) = (self.end, &mut self.has_backlog);
        self.by_id.retain(|_, member| {
            *has_backlog |= member.waiting_bytes(end) > SEND_AHEAD_BYTES;
            if member.subscriptions == 0 || member.is_cut_off {
                return !member.has_left();
            }
            match &member.target {
                MemberTarget::SendQueue(send_queue) => {
                    member.sent = end;
                    send_queue.push_broadcast(&message, &member.position);
                }
                MemberTarget::Group { id, .. } => {
                    if let Some(Some(_)) = permits.get(id) {
                        member.sent = end;
                    }
                }
            }
            true
        });
        for (id, group) in &mut self.groups {
            let Some(Some(permit)) = permits.remove(id) else {
                continue;
            };
            let by_id = &self.by_id;
            let recipients = group.recipients.get_or_insert_with(|| {
                let members = group.members.iter().filter_map(|id| by_id.get(id));
                members.filter_map(Member::recipient).collect()
            });
            permit(GroupMessage {
                message: message.clone(),
                recipients: recipients.clone(),
            });
        }
        self.joined
    }

    /// Disconnects the members that do not read and for which too much waits. Returns the pressure for the next message.
    pub(super) fn check(&mut self) -> Backpressure {
        if !std::mem::take(&mut self.has_backlog) {
            return Backpressure::None;
        }
        let now = Instant::now();
        let mut pressure = Backpressure::None;
        for member in self.by_id.values_mut() {
            let taken = member.position.taken();
            let waiting = member.waiting_bytes(self.end);
            if waiting <= SEND_AHEAD_BYTES || taken != member.last_taken {
                member.last_taken = taken;
                member.last_progress = now;
            }
            if waiting <= SEND_AHEAD_BYTES || member.is_cut_off {
                member.over_limit_since = None;
                continue;
            }
            self.has_backlog = true;
            let patience = PATIENCE.max(member.reading.pause() * 2);
            let last_progress = member.reading.accepted_at().max(Some(member.last_progress));
            let is_stalled = member.reading.is_blocked_for(patience, now)
                || last_progress
                    .is_some_and(|last| now.saturating_duration_since(last) >= FRONT_END_PATIENCE);
            if !is_stalled {
                member.over_limit_since = None;
                pressure = Backpressure::Wait;
            } else if waiting <= MAX_WAITING_BYTES {
                member.over_limit_since = None;
                pressure = pressure.max(Backpressure::Yield);
            } else if now.saturating_duration_since(*member.over_limit_since.get_or_insert(now)) < patience {
                pressure = Backpressure::Wait;
            } else {
                member.is_cut_off = true;
                match &member.target {
                    MemberTarget::SendQueue(send_queue) => send_queue.cut_off(),
                    MemberTarget::Group { id, client } => {
                        if let Some(group) = self.groups.get_mut(id) {
                            group.group.cut_off(client);
                            group.recipients = None;
                        }
                    }
                }
            }
        }
        pressure
    }
}

impl Member {
    /// Returns the cost of the messages that are kept because they wait for this member. `end` is the end of the last message.
    fn waiting_bytes(&self, end: u64) -> u64 {
        let taken = self.position.taken();
        if taken < self.sent { end - taken } else { 0 }
    }

    /// Returns `true` if the member has no subscription, and no messages that were sent before wait for it.
    fn has_left(&self) -> bool {
        self.subscriptions == 0 && (self.is_cut_off || self.position.taken() >= self.sent)
    }

    fn recipient(&self) -> Option<Recipient> {
        match &self.target {
            MemberTarget::Group { client, .. } if !self.is_cut_off => Some(Recipient {
                client: client.clone(),
                encoding: self.encoding,
                position: self.position.clone(),
            }),
            _ => None,
        }
    }
}
