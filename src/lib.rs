//! brubeck.

pub use brubeck_macros::*;
pub use brubeck_runtime::*;

#[doc(hidden)]
pub use brubeck_runtime::__private;

/// What a program that uses brubeck needs, in one `use`.
pub mod prelude {
    pub use brubeck_macros::*;
    pub use brubeck_runtime::{
        Answer, App, Arg, Call, CallError, Client, Context, Fault, FromMessage, Headers, Html, IntoReply,
        Json, Message, Method, Page, Provides, Query, Rejection, RemoteAddr, Reply, Response, Routes,
        Services, State, Status, Template, Text,
    };
}
