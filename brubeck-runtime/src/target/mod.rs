//! The target of a request: the path in the form in which routes are matched.

pub mod codec;

pub(crate) use codec::{
    CanonicalPath, call_path, canonical_path, check_query, path_for_log, without_dot_segments,
};
