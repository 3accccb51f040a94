//! The state of a link that connects, and of its successive connections.

/// The number of a connection within its link: 1 for the first one, larger for each that follows.
pub type Generation = u64;

/// Whether a link that connects has a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is none; the link is trying, for as long as it lives.
    Connecting,
    /// There is one.
    Up(Generation),
    /// The link was shut down.
    Closed,
}
