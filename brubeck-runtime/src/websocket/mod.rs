//! WebSockets (RFC 6455): the API for handlers, and the parts of the protocol that both front ends share.

mod broadcast;
mod close;
pub mod codec;
mod deflate;
mod encoding;
mod frame;
mod handshake_key;
mod inbound;
mod message;
pub(crate) mod opcode;
mod peer;
mod read_progress;
mod send_queue;
mod socket;
mod transport;
mod upgrade;
mod upgrade_handle;

pub use broadcast::{Broadcast, Subscription};
pub use close::{Close, Closed};
pub use message::SocketMessage;
pub use socket::{SocketSender, WebSocket};
pub use upgrade::{SocketOutcome, Upgrade};

pub(crate) use broadcast::{ReadPosition, StoredMessage, WaitingMessages};
pub(crate) use deflate::Deflate;
pub(crate) use encoding::{BroadcastEncoding, message_frame, nul_terminated};
pub(crate) use frame::{close_frame, frame_size, ping_frame};
pub(crate) use handshake_key::{INVALID_KEY, handshake_key};
pub(crate) use inbound::{InboundMessage, TOO_MANY_MESSAGES, inbound_budget};
pub(crate) use peer::{FrameAction, SocketPeer};
pub(crate) use read_progress::{ReadProgress, STALL_TIMEOUT, TOO_SLOW};
pub(crate) use send_queue::{Outgoing, SendQueue};
pub(crate) use socket::QueuedMessage;
pub(crate) use transport::{
    BroadcastGroup, BroadcastRoute, BroadcastTarget, ClientId, GroupMessage, GroupPermit, Recipient,
    SocketTransport, next_socket_id,
};
pub(crate) use upgrade::{accept_upgrade, negotiate, switching_protocols};
pub(crate) use upgrade_handle::UpgradeHandle;

#[cfg(test)]
mod tests;
