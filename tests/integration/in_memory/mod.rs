//! The test tools: WebSockets, events and uploads without a socket, with a paused clock.

mod events;
mod message_sockets;
mod uploads;
mod websockets;
