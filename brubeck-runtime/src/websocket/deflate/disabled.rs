//! Without the feature `deflate` nobody agrees to deflated messages.

use crate::websocket::Close;
use http::HeaderMap;
use http::header::HeaderValue;

/// There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDeflate {}

impl NoDeflate {
    pub(crate) fn agree(_: &HeaderMap) -> Option<NoDeflate> {
        None
    }

    pub(crate) fn header(self) -> HeaderValue {
        match self {}
    }

    pub(crate) fn is_common(self) -> bool {
        match self {}
    }

    pub(crate) fn deflate(self, _: &[u8]) -> Option<Vec<u8>> {
        match self {}
    }

    pub(crate) fn for_all(_: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(crate) fn inflate(self, _: &[u8], _: usize) -> Result<Vec<u8>, Close> {
        match self {}
    }
}
