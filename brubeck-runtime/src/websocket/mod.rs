//! WebSockets, as handlers see them; whatever front end they come through.

mod broadcast;
mod carrier;
mod close;
pub mod codec;
mod deflate;
mod form;
mod frame;
mod message;
mod offer;
mod peer;
mod received;
mod socket;
mod upgrade;

pub use broadcast::{Broadcast, Subscription};
pub use close::{Close, Closed};
pub use message::SocketMessage;
pub use socket::{SocketSender, WebSocket};
pub use upgrade::{SocketOutcome, Upgrade};

pub(crate) use carrier::{Carrier, Group, Seat};
pub(crate) use deflate::Deflate;
pub(crate) use form::{Form, message_frame, text};
pub(crate) use frame::{close_frame, ping_frame};
pub(crate) use offer::Offer;
pub(crate) use peer::{Heard, Peer};
pub(crate) use received::Received;
pub(crate) use socket::Delivered;
pub(crate) use upgrade::{offered, opening, run};
