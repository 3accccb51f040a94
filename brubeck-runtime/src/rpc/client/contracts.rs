//! The warnings about operations that a service declares differently.

use crate::rpc::codec::OperationDeclaration;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The operations that were reported. They are those of the contracts of this program, so there are not many.
static REPORTED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Logs a warning that an operation is declared differently at `address`, once for each operation in this process. Its calls are sent
/// nevertheless: only their arguments and results decide whether they can be read.
pub(super) fn report_difference(
    here: &OperationDeclaration,
    there: Option<&OperationDeclaration>,
    address: &str,
) {
    let difference = match there {
        Some(there) => here.difference(there, address),
        None => "the service did not say what differs".to_owned(),
    };
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if difference.is_empty() || !reported.get_or_insert_default().insert(here.name.clone()) {
        return;
    }
    drop(reported);
    tracing::warn!(
        operation = here.name,
        worker.address = address,
        difference,
        "the service declares this operation differently; deploy both sides with the same contract"
    );
}
