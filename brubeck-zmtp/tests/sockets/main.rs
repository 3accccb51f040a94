//! Servers and clients over real sockets, with peers of libzmq and of the `zeromq` crate, and with raw connections.

mod churn;
mod common;
mod libzmq;
mod links;
mod overload;
mod raw_peers;
mod raw_servers;
mod wrapped;
