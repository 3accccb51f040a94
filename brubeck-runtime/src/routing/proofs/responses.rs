//! What handlers send without waiting: the answers must have somebody who takes them, or the application does not start.

use super::contracts::is_answered;
use crate::method::{Kind, Method};
use crate::routing::router::{Match, Router};
use crate::routing::table::{Entry, Routes};
use crate::spec::Spec;

/// The calls of a handler that end in `.nowait()`, as its attribute reads them.
#[derive(Clone, Copy, Debug)]
pub struct NowaitCalls {
    /// The methods of those calls.
    pub methods: &'static [&'static str],
    /// The operations of the contracts whose clients the handler takes.
    pub operations: &'static [&'static [&'static Spec]],
    /// The paths that are written in `.request("..")`.
    pub paths: &'static [&'static str],
}

impl NowaitCalls {
    /// Nothing.
    pub const NONE: NowaitCalls = NowaitCalls {
        methods: &[],
        operations: &[],
        paths: &[],
    };

    fn operations(&self) -> impl Iterator<Item = &'static Spec> {
        let methods = self.methods;
        let named = move |operation: &&'static Spec| {
            let name = operation
                .name
                .rsplit_once("::")
                .map_or(operation.name, |(_, name)| name);
            methods.contains(&name)
        };
        self.operations.iter().copied().flatten().copied().filter(named)
    }
}

/// The first call whose answer would be lost, in words.
pub(crate) fn find_unhandled_response<S>(routes: Routes<S>, router: &Router<S>) -> Option<String> {
    let taken = |path: &str| {
        matches!(
            router.find(Kind::Response, Method::Response, path),
            Match::Found { .. }
        )
    };
    routes.entries().iter().find_map(|entry| {
        let operation = entry
            .nowait_calls
            .operations()
            .find(|operation| !is_answered(routes, operation) && !taken(operation.example));
        if let Some(operation) = operation {
            let attribute = format!("#[response_handler({})]", operation.name);
            return Some(lost(entry, operation.name, &attribute));
        }
        let path = entry.nowait_calls.paths.iter().find(|path| !taken(path))?;
        Some(lost(entry, path, &format!("#[response_handler(\"^{path}\")]")))
    })
}

fn lost<S>(entry: &Entry<S>, called: &str, attribute: &str) -> String {
    let Spec { name, file, line, .. } = entry.spec;
    format!(
        "`{name}` at {file}:{line} calls `{called}` with `nowait`, but no response handler takes the answer; \
         list a function with `{attribute}` in `routes!`, or await the call"
    )
}
