//! A connection that ends when the server stops.

use crate::handler::Stop;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Waker;

/// Runs a connection to its end. When the server is told to stop, `drain` has it end with what it is answering.
pub(super) async fn drained<C: Future>(connection: C, drain: fn(Pin<&mut C>), stop: Stop) -> C::Output {
    let mut connection = pin!(connection);
    let news = stop.clone();
    let mut stop = stop;
    let mut requested = pin!(stop.requested());
    let (mut draining, mut told) = (false, None::<Waker>);
    poll_fn(|cx| {
        // Listened to once and not with each request, since whoever is told stays told.
        let listens = told.as_ref().is_some_and(|told| told.will_wake(cx.waker()));
        if !draining && (!listens || news.may_be_requested()) {
            told = Some(cx.waker().clone());
            draining = requested.as_mut().poll(cx).is_ready();
            if draining {
                drain(connection.as_mut());
            }
        }
        connection.as_mut().poll(cx)
    })
    .await
}
