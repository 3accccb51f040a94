//! The replacement for `permessage-deflate` without the feature `deflate`.

use crate::websocket::Close;
use http::HeaderMap;
use http::header::HeaderValue;

/// A type without values, because the extension is never negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDeflate {}

impl NoDeflate {
    pub(crate) fn negotiate(_: &HeaderMap) -> Option<NoDeflate> {
        None
    }

    pub(crate) fn header(self) -> HeaderValue {
        match self {}
    }

    pub(crate) fn has_max_window(self) -> bool {
        match self {}
    }

    pub(crate) fn deflate(self, _: &[u8]) -> Option<Vec<u8>> {
        match self {}
    }

    pub(crate) fn deflate_for_broadcast(_: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(crate) fn inflate(self, _: &[u8], _: usize) -> Result<Vec<u8>, Close> {
        match self {}
    }
}
