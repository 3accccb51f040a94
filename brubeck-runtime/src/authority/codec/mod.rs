//! Parsers for hosts, origins and the headers in which proxies forward them. They are pure and borrow from their input.

mod forwarded;
mod host;

pub use forwarded::{ForwardedElement, parse_forwarded, parse_node, split_list};
pub use host::{HostPort, parse_host_port, parse_origin};
