//! The ID of a call.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The ID of a call that is not awaited: [`nowait`](crate::Call::nowait) returns it, and the response handler takes it as an argument.
///
/// ```
/// use brubeck::prelude::*;
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
///
/// #[service_client]
/// pub trait Reports {
///     #[call("/reports/write", timeout = "10m")]
///     async fn write(&self, year: u32) -> Result<String, Problem>;
/// }
///
/// #[derive(Clone, Default)]
/// struct Jobs(Arc<Mutex<HashMap<CallId, String>>>);
///
/// #[post("/report/{year}")]
/// async fn start(year: u32, reports: ReportsClient, jobs: State<Jobs>) -> Result<String, Problem> {
///     let id = CallId::new();
///     // First, because the response handler may run before `nowait` returns.
///     jobs.0.0.lock().expect("not poisoned").insert(id, "running".into());
///     reports.write(year).id(id).nowait().await?;
///     Ok(id.to_string())
/// }
///
/// #[response_handler(reports::write)]
/// async fn written(result: CallResult<String>, id: CallId, jobs: State<Jobs>) {
///     let text = match result {
///         Ok(response) => response.body,
///         Err(CallError::Failure { error, .. }) => format!("failed: {}", error.detail()),
///         Err(error) => {
///             tracing::warn!(%id, %error, "no report");
///             "lost".into()
///         }
///     };
///     jobs.0.0.lock().expect("not poisoned").insert(id, text);
/// }
/// # fn main() {}
/// ```
///
/// It is random, and unique for all practical purposes. As text and in JSON it has 32 hexadecimal digits. It stays in the application: the
/// service does not get it. A [`handled`](crate::Call::handled) call has one, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u128);

impl CallId {
    /// Creates an ID that no other call has.
    ///
    /// ```
    /// use brubeck::CallId;
    ///
    /// assert_ne!(CallId::new(), CallId::new());
    /// ```
    #[allow(
        clippy::new_without_default,
        reason = "a default that differs each time surprises"
    )]
    pub fn new() -> CallId {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => CallId(u128::from_be_bytes(bytes)),
            // IDs of traces are unique, too, but may be predictable.
            Err(_) => CallId(crate::trace::Trace::new_root(false).number()),
        }
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

/// The error of a text that is no [`CallId`].
///
/// ```
/// use brubeck::CallId;
///
/// let error = "7".parse::<CallId>().unwrap_err();
/// assert_eq!(error.to_string(), "the ID of a call has 32 hexadecimal digits");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidCallId;

impl fmt::Display for InvalidCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ID of a call has 32 hexadecimal digits")
    }
}

impl std::error::Error for InvalidCallId {}

impl FromStr for CallId {
    type Err = InvalidCallId;

    fn from_str(text: &str) -> Result<CallId, InvalidCallId> {
        // `from_str_radix` also accepts a sign and fewer digits.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidCallId);
        }
        let id = u128::from_str_radix(text, 16).map_err(|_| InvalidCallId)?;
        Ok(CallId(id))
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_have_32_digits() {
        let id = CallId(0xf0);
        assert_eq!(id.to_string(), "000000000000000000000000000000f0");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
        assert_eq!(
            serde_json::from_value::<CallId>(id.to_string().into()).unwrap(),
            id
        );
        for text in [
            "",
            "f0",
            "+00000000000000000000000000000f0",
            "0000000000000000000000000000000g",
        ] {
            assert_eq!(text.parse::<CallId>(), Err(InvalidCallId), "{text}");
        }
    }
}
