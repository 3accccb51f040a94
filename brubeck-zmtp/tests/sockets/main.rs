//! Servers and clients over real sockets, against peers of every kind.

mod churn;
mod common;
mod libzmq;
mod links;
mod overload;
mod servers;
mod strangers;
