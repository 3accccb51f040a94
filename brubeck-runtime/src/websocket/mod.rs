//! WebSockets (RFC 6455): the API for handlers, and the parts of the protocol that both front ends share.

mod broadcast;
mod close;
pub mod codec;
mod deflate;
mod encoding;
mod frame;
mod inbound;
mod message;
mod peer;
mod socket;
mod transport;
mod upgrade;
mod upgrade_handle;

pub use broadcast::{Broadcast, Subscription};
pub use close::{Close, Closed};
pub use message::SocketMessage;
pub use socket::{SocketSender, WebSocket};
pub use upgrade::{SocketOutcome, Upgrade};

pub(crate) use deflate::Deflate;
pub(crate) use encoding::{BroadcastEncoding, message_frame, nul_terminated};
pub(crate) use frame::{close_frame, ping_frame};
pub(crate) use inbound::InboundMessage;
pub(crate) use peer::{FrameAction, SocketPeer};
pub(crate) use socket::QueuedMessage;
pub(crate) use transport::{BroadcastGroup, ClientId, SocketTransport};
pub(crate) use upgrade::{accept_upgrade, negotiate, switching_protocols};
pub(crate) use upgrade_handle::UpgradeHandle;
