//! The two connections to a Mongrel2, a PULL and an XPUB.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use brubeck_zmtp::codec::frames::FrameLimits;
use brubeck_zmtp::connection::{Role, Socket, Traffic};
use brubeck_zmtp::{Endpoint, Timing};

/// Mongrel2 counts no longer bodies, and memory grows only with what comes.
const LIMITS: FrameLimits = FrameLimits {
    message_bytes: (1 << 31) + (1 << 20),
    frames: 2,
};

const REQUESTS: Role = Role {
    ours: "PULL",
    theirs: &["PUSH"],
    limits: LIMITS,
    traffic: Traffic::In,
};

const REPLIES: Role = Role {
    ours: "XPUB",
    theirs: &["SUB"],
    limits: LIMITS,
    traffic: Traffic::Out,
};

/// One connection to a Mongrel2.
pub(crate) struct Sockets {
    pub(crate) requests: Socket,
    pub(crate) replies: Socket,
    pub(crate) recv_ident: Bytes,
}

/// Connects the replies first, and the requests only once Mongrel2 is known to listen to the replies.
pub(crate) async fn connect(
    send_spec: Endpoint,
    recv_spec: Endpoint,
    timing: Timing,
) -> Result<Sockets, String> {
    let mut replies = Socket::connect(&recv_spec, REPLIES, timing.connect)
        .await
        .map_err(|error| format!("recv_spec {recv_spec}: {error}"))?;
    let recv_ident = subscription(&mut replies, timing.subscription)
        .await
        .map_err(|why| {
            format!("recv_spec {recv_spec}: {why}; it must be the address Mongrel2 receives replies on")
        })?;
    let requests = Socket::connect(&send_spec, REQUESTS, timing.connect)
        .await
        .map_err(|error| format!("send_spec {send_spec}: {error}"))?;
    Ok(Sockets {
        requests,
        replies,
        recv_ident,
    })
}

/// Waits for Mongrel2 to say which replies it wants.
async fn subscription(replies: &mut Socket, limit: Duration) -> Result<Bytes, String> {
    let subscribed = async {
        loop {
            let frames = replies.message().await?;
            let mut frame = frames.into_iter().next().unwrap_or_default();
            if frame.first() == Some(&1) {
                return Ok(frame.split_off(1));
            }
        }
    };
    timeout(limit, subscribed)
        .await
        .unwrap_or_else(|_| Err(format!("Mongrel2 did not subscribe within {limit:?}")))
}
