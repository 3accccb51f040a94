//! The reason of a call error.

use super::CallSite;
use crate::codec::truncated;
use crate::status::Status;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Limit for the text of a reason, in bytes. A serde error quotes the value that it cannot read, which may be as long as a body.
const MAX_TEXT: usize = 2 << 10;

/// The reason of a [`CallError`](crate::CallError): a text, the place of the call, and the cause.
///
/// ```
/// use brubeck::CallError;
///
/// let error: CallError = CallError::Refused("the service is closed on Sundays".into());
/// if let CallError::Refused(reason) = &error {
///     assert!(reason.ends_with("Sundays"));
///     assert_eq!(reason.status(), None); // no service has refused it
/// }
/// ```
///
/// It derefs to its text. The text is empty if there is no more to say than the variant of the error does, and it is cut to 2 KiB.
#[derive(Clone, Default)]
pub struct CallErrorReason {
    text: Cow<'static, str>,
    pub(super) site: CallSite,
    status: Option<Box<Status>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl CallErrorReason {
    /// Creates the reason of a call that failed with this error, which becomes its [source](StdError::source).
    pub(crate) fn of(error: impl StdError + Send + Sync + 'static) -> CallErrorReason {
        CallErrorReason::because(error.to_string(), error)
    }

    /// Creates a reason whose text includes that of its cause.
    pub(crate) fn because(
        text: impl Into<Cow<'static, str>>,
        cause: impl StdError + Send + Sync + 'static,
    ) -> CallErrorReason {
        CallErrorReason {
            source: Some(Arc::new(cause)),
            ..text.into().into()
        }
    }

    /// As [`because`](Self::because), with a cause of any type.
    pub(super) fn because_of(
        text: impl Into<Cow<'static, str>>,
        cause: Box<dyn StdError + Send + Sync>,
    ) -> CallErrorReason {
        CallErrorReason {
            source: Some(cause.into()),
            ..text.into().into()
        }
    }

    /// Creates the reason of a call that the service has refused with this status.
    pub(super) fn of_status(status: &Status) -> CallErrorReason {
        CallErrorReason {
            status: Some(Box::new(status.clone())),
            ..status.to_string().into()
        }
    }

    /// Replaces the text.
    pub(crate) fn with_text(self, text: impl Into<Cow<'static, str>>) -> CallErrorReason {
        CallErrorReason {
            text: cut(text.into()),
            ..self
        }
    }

    /// Returns the status with which the service has refused the call, with the reason as its message.
    ///
    /// ```
    /// use brubeck::{CallError, Problem};
    ///
    /// /// Tells a version of the service without the operation (404) from one that cannot read the arguments (400).
    /// fn is_outdated(error: &CallError) -> bool {
    ///     matches!(error, CallError::Refused(reason) if reason.status().is_some_and(|status| status.code() == 404))
    /// }
    /// ```
    ///
    /// It is `None` if the client has refused the call before it was sent, and for all errors but [`Refused`](crate::CallError::Refused).
    pub fn status(&self) -> Option<&Status> {
        self.status.as_deref()
    }

    pub(super) fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= MAX_TEXT {
        return text;
    }
    format!("{} ..", truncated(&text, MAX_TEXT)).into()
}

impl<T: Into<Cow<'static, str>>> From<T> for CallErrorReason {
    fn from(text: T) -> CallErrorReason {
        CallErrorReason::default().with_text(text)
    }
}

impl Deref for CallErrorReason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Compares the texts.
impl PartialEq for CallErrorReason {
    fn eq(&self, other: &CallErrorReason) -> bool {
        self.text == other.text
    }
}

impl Eq for CallErrorReason {}

impl fmt::Display for CallErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CallErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}
