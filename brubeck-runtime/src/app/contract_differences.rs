//! Warnings about operations that callers and this service declare differently.

use crate::spec::Spec;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The operations that callers declare differently. Each is logged once.
#[derive(Debug, Default)]
pub(super) struct ContractDifferences(Mutex<HashSet<&'static str>>);

impl ContractDifferences {
    /// Logs a warning if the caller declares the operation differently. The call runs anyway: only its arguments decide whether they can
    /// be read.
    pub(super) fn check(&self, served: &'static Spec, called: u64) {
        if called == 0 || served.contract == 0 || called == served.contract {
            return;
        }
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.insert(served.operation) {
            tracing::warn!(
                operation = served.operation,
                "a caller declares this operation with other arguments or another result, and its log says which; deploy both sides with the same \
                 contract"
            );
        }
    }
}
