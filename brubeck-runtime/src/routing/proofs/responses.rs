//! Finds calls with `nowait` whose response no response handler would handle, among those that the attributes have found in the text of
//! the handlers. The application does not start if there is one. Other calls are checked when they are made, by [`Call::nowait`].
//!
//! [`Call::nowait`]: crate::Call::nowait

use crate::method::{Kind, Method};
use crate::routing::router::{Match, Router};
use crate::routing::table::ListedRoute;
use crate::spec::Spec;
use crate::target::call_path;

/// The calls of a handler that end in `.nowait()`, as its attribute reads them from the source text.
#[derive(Clone, Copy, Debug)]
pub struct NowaitCalls {
    /// The methods in the call chains. One of them may be an operation.
    pub methods: &'static [&'static str],
    /// The operations of the contracts whose clients the handler takes.
    pub operations: &'static [&'static [&'static Spec]],
    /// The string literals in `.request("..")`.
    pub paths: &'static [&'static str],
}

impl NowaitCalls {
    /// No calls.
    pub const NONE: NowaitCalls = NowaitCalls {
        methods: &[],
        operations: &[],
        paths: &[],
    };

    /// Returns the operations whose name is one of the called methods.
    fn called_operations(&self) -> impl Iterator<Item = &'static Spec> {
        let methods = self.methods;
        let is_called = move |operation: &&'static Spec| {
            let name = operation
                .name
                .rsplit_once("::")
                .map_or(operation.name, |(_, name)| name);
            methods.contains(&name)
        };
        self.operations
            .iter()
            .copied()
            .flatten()
            .copied()
            .filter(is_called)
    }
}

/// Describes the first call whose response would be lost. An operation passes if its responses are proven to have a response handler, or if
/// its example path has one.
pub(crate) fn find_unhandled_response(
    routes: &[&'static ListedRoute],
    router: &Router,
    is_answered: impl Fn(&Spec) -> bool,
) -> Option<String> {
    let is_handled = |path: &str| {
        matches!(
            router.find(Kind::Response, Method::Response, call_path(path).bytes()),
            Match::Found(_)
        )
    };
    routes.iter().find_map(|route| {
        let unhandled = route
            .nowait_calls
            .called_operations()
            .find(|operation| !is_answered(operation) && !is_handled(operation.example));
        if let Some(operation) = unhandled {
            let attribute = format!("#[response_handler({})]", operation.name);
            return Some(describe(route, operation.name, &attribute));
        }
        let path = route.nowait_calls.paths.iter().find(|path| !is_handled(path))?;
        Some(describe(
            route,
            path,
            &format!("#[response_handler(\"^{path}\")]"),
        ))
    })
}

fn describe(route: &ListedRoute, called: &str, attribute: &str) -> String {
    let Spec { name, file, line, .. } = route.spec;
    format!(
        "`{name}` at {file}:{line} calls `{called}` with `nowait`, but no response handler handles the response; \
         list a function with `{attribute}` in `routes!`, or await the call"
    )
}
