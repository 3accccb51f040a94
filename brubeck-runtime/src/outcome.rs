//! How a call has ended for the application that serves it.

/// The outcome of a request to which the application has responded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The handler has responded. The body is the value of the contract, if there is one.
    #[default]
    Value,
    /// The handler of an operation has failed. The body is the error of the contract.
    Failure,
    /// The application has rejected the request before its handler ran: no handler was found, or an argument was not valid.
    Rejected,
    /// The handler has panicked.
    Panicked,
}

impl Outcome {
    /// Returns whether the handler may have run.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        !matches!(self, Self::Rejected)
    }
}
