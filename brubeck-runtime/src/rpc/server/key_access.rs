//! The keys that a service serves, for each operation.

use crate::error::Error;
use crate::rpc::api::KeyPin;
use crate::spec::Spec;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::ptr;

/// A key that a service serves, as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct ServedKey {
    pub(crate) pin: String,
    /// The name of an operation, or `None` for all of them.
    pub(crate) operation: Option<String>,
}

/// The keys that may call the operations of a service.
#[derive(Debug)]
pub(crate) struct KeyAccess {
    /// The keys that may call every operation.
    all: HashSet<KeyPin>,
    /// The operations that each of the other keys may call, by the addresses of their specs.
    limited: HashMap<KeyPin, HashSet<usize>>,
}

impl KeyAccess {
    /// Checks the configured keys against the operations of the service. `what` completes "cannot".
    ///
    /// # Errors
    /// Returns an error if a pin is not valid, or if a name is not that of exactly one operation.
    pub(crate) fn new(
        served: &[ServedKey],
        operations: &[&'static Spec],
        what: impl Display,
    ) -> crate::Result<KeyAccess> {
        let mut access = KeyAccess {
            all: HashSet::new(),
            limited: HashMap::new(),
        };
        for ServedKey { pin, operation } in served {
            let pin = pin.parse().map_err(|error| {
                Error::because(
                    format!("cannot {what}: the pin `{pin}` of a served key is not valid"),
                    error,
                )
            })?;
            let Some(name) = operation else {
                access.all.insert(pin);
                continue;
            };
            let spec = find(name, operations).map_err(|reason| {
                Error::new(format!(
                    "cannot {what}: `Service::serve_key_for` names the operation `{name}`, {reason}"
                ))
            })?;
            access.limited.entry(pin).or_default().insert(id(spec));
        }
        Ok(access)
    }

    /// Returns the keys that may call at least one operation.
    pub(crate) fn keys(&self) -> HashSet<KeyPin> {
        self.all.iter().chain(self.limited.keys()).copied().collect()
    }

    /// Returns the reason why a call is refused. `operation` is `None` for a path of the service itself, and for one without a handler:
    /// every listed key may call those.
    pub(crate) fn refusal(&self, key: Option<KeyPin>, operation: Option<&'static Spec>) -> Option<String> {
        let Some(key) = key else {
            return Some("the service serves listed keys only, and the caller has proven none".to_owned());
        };
        if self.all.contains(&key) {
            return None;
        }
        let what = match (self.limited.get(&key), operation) {
            (None, _) => "any operation".to_owned(),
            (Some(_), None) => return None,
            (Some(served), Some(operation)) if served.contains(&id(operation)) => return None,
            (Some(_), Some(operation)) => format!("the operation `{}`", name_of(operation)),
        };
        Some(format!(
            "the service does not serve the key {key} of the caller for {what}; list its pin with `Service::serve_key` or \
             `Service::serve_key_for`"
        ))
    }
}

/// Finds an operation by the name in its contract, the name of its handler, or its path.
fn find(name: &str, operations: &[&'static Spec]) -> Result<&'static Spec, String> {
    let matches = |spec: &&&'static Spec| spec.operation == name || spec.name == name || spec.pattern == name;
    let mut found = operations.iter().filter(matches);
    match (found.next(), found.next()) {
        (Some(spec), None) => Ok(spec),
        (None, _) => {
            let names: Vec<&str> = operations.iter().map(|spec| name_of(spec)).collect();
            Err(format!("and the service has: {}", names.join(", ")))
        }
        (Some(first), Some(second)) => Err(format!(
            "which is the name of several; use their paths, such as `{}` and `{}`",
            first.pattern, second.pattern
        )),
    }
}

/// Returns the name of an operation in its contract, or the name of its handler.
fn name_of(spec: &'static Spec) -> &'static str {
    if spec.operation.is_empty() {
        spec.name
    } else {
        spec.operation
    }
}

fn id(spec: &'static Spec) -> usize {
    ptr::from_ref(spec).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Kind, Method};

    static FIRST: Spec = Spec::new("index", "/a/index", Method::Request, Kind::Service);
    static SECOND: Spec = Spec::new("index", "/b/index", Method::Request, Kind::Service);

    fn served(operation: &str) -> crate::Result<KeyAccess> {
        let served = ServedKey {
            pin: KeyPin::new([1; 32]).to_string(),
            operation: Some(operation.to_owned()),
        };
        KeyAccess::new(&[served], &[&FIRST, &SECOND], "serve")
    }

    #[test]
    fn handlers_with_the_same_name_are_named_by_their_paths() {
        let error = served("index").unwrap_err().to_string();
        assert!(
            error.contains("use their paths, such as `/a/index` and `/b/index`"),
            "{error}"
        );
        let access = served("/b/index").unwrap();
        let key = Some(KeyPin::new([1; 32]));
        assert!(access.refusal(key, Some(&FIRST)).is_some());
        assert_eq!(access.refusal(key, Some(&SECOND)), None);
        assert!(access.refusal(None, Some(&SECOND)).is_some());
    }
}
