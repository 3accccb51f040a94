//! The macros that refer to this crate by `$crate`, so that they work whatever name it has in Cargo.toml.

#[doc = include_str!("routes.md")]
#[macro_export]
macro_rules! routes {
    ($($entries:tt)*) => {
        $crate::__macros::routes! { $crate; $($entries)* }
    };
}

#[doc = include_str!("serves.md")]
#[macro_export]
macro_rules! serves {
    ($($contracts:tt)*) => {
        $crate::__macros::serves! { $crate; $($contracts)* }
    };
}
