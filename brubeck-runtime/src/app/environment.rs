//! Whether a program runs for its developers.

use crate::error::{Error, Result};
use std::ffi::OsStr;

const VARIABLE: &str = "BRUBECK_ENV";

/// Returns `true` if `BRUBECK_ENV` is `development`, or if it is not set and the program was compiled with debug assertions.
///
/// # Errors
///
/// Returns an error if the variable has another value.
pub(super) fn is_development() -> Result<bool> {
    parse(std::env::var_os(VARIABLE).as_deref())
}

fn parse(value: Option<&OsStr>) -> Result<bool> {
    match value.map(|value| value.to_str().unwrap_or_default()) {
        None => Ok(cfg!(debug_assertions)),
        Some("development") => Ok(true),
        Some("production") => Ok(false),
        Some(_) => Err(Error::new(format!(
            "the environment variable {VARIABLE} must be `development` or `production`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_takes_precedence_over_debug_assertions() {
        assert_eq!(parse(None).unwrap(), cfg!(debug_assertions));
        assert!(parse(Some("development".as_ref())).unwrap());
        assert!(!parse(Some("production".as_ref())).unwrap());
        assert!(parse(Some("Production".as_ref())).is_err());
    }
}
