//! The name of a service: the path of its address.

use crate::error::Error;

/// Limit for the length of a name, in bytes.
const MAX_LENGTH: usize = 64;

/// The address of a socket, and the name of the service there if the address has one: `tcp://10.0.0.6:9000/thumbs`.
pub(crate) struct NamedAddress {
    pub(crate) address: String,
    pub(crate) service: Option<String>,
}

impl NamedAddress {
    /// Splits an address. The path of an `ipc` address is that of its socket.
    pub(crate) fn new(address: String) -> NamedAddress {
        let path = address
            .strip_prefix("tcp://")
            .and_then(|rest| rest.split_once('/'))
            .map(|(_, name)| name.to_owned());
        match path {
            Some(name) => NamedAddress {
                address: address[..address.len() - name.len() - 1].to_owned(),
                service: Some(name).filter(|name| !name.is_empty()),
            },
            None => NamedAddress {
                address,
                service: None,
            },
        }
    }
}

/// Returns an error if no service can have this name. `what` is what fails: "serve at tcp://..".
pub(crate) fn check_service_name(name: &str, what: &str) -> crate::Result<()> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.len() <= MAX_LENGTH && name.bytes().all(is_valid) {
        return Ok(());
    }
    Err(Error::new(format!(
        "cannot {what}: the name of a service, after the port, has at most {MAX_LENGTH} letters, digits, `_`, `-` and `.`, unlike {name:?}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_path_of_a_tcp_address() {
        for (text, address, service) in [
            ("tcp://10.0.0.6:9000", "tcp://10.0.0.6:9000", None),
            ("tcp://10.0.0.6:9000/", "tcp://10.0.0.6:9000", None),
            (
                "tcp://127.0.0.1:9999/my_service",
                "tcp://127.0.0.1:9999",
                Some("my_service"),
            ),
            ("tcp://[::1]:1/a/b", "tcp://[::1]:1", Some("a/b")),
            ("ipc://run/slow", "ipc://run/slow", None),
            ("nowhere/at/all", "nowhere/at/all", None),
            ("tcp:///", "tcp://", None),
        ] {
            let named = NamedAddress::new(text.to_owned());
            assert_eq!(
                (named.address.as_str(), named.service.as_deref()),
                (address, service),
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_no_service_can_have_are_refused() {
        let long = "x".repeat(MAX_LENGTH + 1);
        for name in ["a/b", "a b", "é", "a?b", &long] {
            let error = check_service_name(name, "serve at tcp://x:1")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("cannot serve at tcp://x:1") && error.contains("after the port"),
                "{error}"
            );
        }
        assert!(check_service_name("my_service-2.b", "serve").is_ok());
    }
}
