//! Servers and clients over real sockets, against peers of every kind.

mod churn;
mod common;
mod links;
mod overload;
mod servers;
mod strangers;
