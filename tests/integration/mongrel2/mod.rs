//! Mongrel2 point by point, against the real server.

mod codec;
mod control;
mod front_end;
mod inline_dispatch;
mod link;
mod long_poll;
mod messages;
mod process;
mod replies;
mod restarts;
mod uploads;
