//! Passes bytes between a peer and the socket behind the gate, in both directions at once.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::{LINGER, Limits};
use super::Refusal;
use super::accounts::Account;
use super::frames::{FrameLimits, FrameWalker, pong};

/// Bytes read at once: few from a peer that is mostly idle, more while it fills them.
const FIRST_CHUNK: usize = 2 << 10;
const LARGEST_CHUNK: usize = 64 << 10;

/// Answers to PINGs that wait for the end of a message on its way out.
const PONGS: usize = 4;

/// Passes on until one side closes, or the peer breaks a rule.
pub(super) async fn pump<S>(
    peer: S,
    inner: UnixStream,
    account: &Account,
    limits: &Limits,
) -> Result<(), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut peer_in, mut peer_out) = tokio::io::split(peer);
    let (inner_in, inner_out) = inner.into_split();
    {
        let (pongs, answers) = mpsc::channel(PONGS);
        let mut up = pin!(up(&mut peer_in, inner_out, pongs, limits));
        let mut down = pin!(down(
            inner_in,
            &mut peer_out,
            answers,
            account,
            limits.write_stall
        ));
        tokio::select! {
            left = &mut up => {
                left?;
                // The socket behind has to see the end before the peer's identity is free again.
                return timeout(LINGER, down).await.unwrap_or(Ok(()));
            }
            left = &mut down => left?,
            () = account.until_cut() => return Err(Refusal::Cut),
        }
    }
    // Closing while the peer's bytes wait unread would reset the connection and destroy the last messages to it.
    peer_out.shutdown().await?;
    let mut unread = BytesMut::with_capacity(FIRST_CHUNK);
    let discard = async {
        while peer_in.read_buf(&mut unread).await.is_ok_and(|count| count > 0) {
            unread.clear();
        }
    };
    // The limit is the point: a peer that goes on sending is closed on.
    let _ = timeout(LINGER, discard).await;
    Ok(())
}

/// From the peer: checked, without its commands.
async fn up(
    peer: &mut (impl AsyncRead + Unpin),
    mut inner: OwnedWriteHalf,
    pongs: mpsc::Sender<Vec<u8>>,
    limits: &Limits,
) -> Result<(), Refusal> {
    let frame_limits = FrameLimits {
        message_bytes: limits.message_bytes as u64,
        frames: limits.frames as u64,
    };
    let mut walker = FrameWalker::new(frame_limits);
    let (mut buffer, mut chunk) = (BytesMut::new(), FIRST_CHUNK);
    loop {
        buffer.reserve(chunk);
        let count = peer.read_buf(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        chunk = next_chunk(chunk, count);
        loop {
            let walk = walker.walk(&buffer)?;
            inner.write_all(&buffer.split_to(walk.pass)).await?;
            let Some(length) = walk.command else { break };
            if let Some(answer) = pong(&buffer.split_to(length))? {
                pongs.send(answer).await.map_err(io::Error::other)?;
            }
        }
    }
}

/// To the peer: as it is, with the answers to its PINGs in between.
async fn down(
    mut inner: OwnedReadHalf,
    peer: &mut (impl AsyncWrite + Unpin),
    mut pongs: mpsc::Receiver<Vec<u8>>,
    account: &Account,
    stall: Duration,
) -> Result<(), Refusal> {
    let mut walker = FrameWalker::new(FrameLimits::NONE);
    let (mut buffer, mut chunk) = (BytesMut::new(), FIRST_CHUNK);
    loop {
        buffer.reserve(chunk);
        tokio::select! {
            count = inner.read_buf(&mut buffer) => match count? {
                0 => return Ok(()),
                count => chunk = next_chunk(chunk, count),
            },
            Some(pong) = pongs.recv(), if !walker.inside() => {
                write(peer, &pong, stall).await?;
                continue;
            }
        }
        loop {
            let walk = walker.walk(&buffer)?;
            let mut pass = buffer.split_to(walk.pass);
            let left = pass.len() as u64;
            if let Some(boundary) = walk.boundary
                && let Ok(pong) = pongs.try_recv()
            {
                write(peer, &pass.split_to(boundary), stall).await?;
                write(peer, &pong, stall).await?;
            }
            write(peer, &pass, stall).await?;
            account.left(left, walk.messages);
            let Some(length) = walk.command else { break };
            write(peer, &buffer.split_to(length), stall).await?;
        }
    }
}

fn next_chunk(chunk: usize, read: usize) -> usize {
    if read >= chunk {
        (chunk * 2).min(LARGEST_CHUNK)
    } else {
        chunk
    }
}

/// Writes all of it, unless the peer takes nothing for as long as `stall`.
async fn write(
    peer: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    stall: Duration,
) -> Result<(), Refusal> {
    while bytes.has_remaining() {
        let count = timeout(stall, peer.write(bytes))
            .await
            .map_err(|_| Refusal::Stalled)??;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        bytes.advance(count);
    }
    Ok(())
}
