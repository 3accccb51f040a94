//! The connection to Mongrel2, tested with the real server, and its codec, tested with captures.

mod codec;
mod control;
mod front_end;
mod inline_dispatch;
mod link;
mod long_poll;
mod message_sockets;
mod process;
mod replies;
mod restarts;
mod uploads;
