//! Changes of cookies and sessions that no response can carry.

/// Limit for the changes of one request that are logged. A handler that computes names could log without end.
const MAX_REPORTS: usize = 16;

/// Refuses changes that come too late, and logs each of them once.
#[derive(Clone, Debug)]
pub(super) struct LateChanges {
    reason: LateReason,
    /// The changes that were logged: a kind and a name.
    logged: Vec<(&'static str, String)>,
}

/// The reason why a change is too late.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LateReason {
    /// The head of the response has the changes that this handler made before.
    HeadIsComplete { handler: &'static str },
    /// A call of a service has no HTTP response.
    NoHttpResponse,
}

impl LateChanges {
    pub(super) fn new(reason: LateReason) -> LateChanges {
        LateChanges {
            reason,
            logged: Vec::new(),
        }
    }

    pub(super) fn reason(&self) -> LateReason {
        self.reason
    }

    /// Logs that a change has no effect, unless it was logged before. `kind` is the function, `name` that of a cookie or of a value, if it
    /// has one.
    pub(super) fn refuse(&mut self, kind: &'static str, name: &str) {
        let is_logged =
            |(logged_kind, logged_name): &(&'static str, String)| *logged_kind == kind && logged_name == name;
        if self.logged.len() >= MAX_REPORTS || self.logged.iter().any(is_logged) {
            return;
        }
        self.logged.push((kind, name.to_owned()));
        match self.reason {
            LateReason::HeadIsComplete { handler } => tracing::error!(
                handler,
                name,
                "`{kind}` has no effect: the head of the response is complete. Call it before the handler returns; the handler of a \
                 WebSocket takes an `Upgrade` for that, and calls it before `Upgrade::on`"
            ),
            LateReason::NoHttpResponse => tracing::error!(
                name,
                "`{kind}` has no effect: the call of a service has no HTTP response. Call it in the handler of a web request"
            ),
        }
    }
}
