#![doc = include_str!("../README.md")]

pub use brubeck_macros::*;
pub use brubeck_runtime::*;

/// What an application needs: `use brubeck::prelude::*;`.
pub mod prelude {
    pub use brubeck_macros::*;
    #[doc(no_inline)]
    pub use brubeck_runtime::{
        Answer, App, Arg, Ask, Call, CallError, Client, Context, Fault, FromMessage, Handled, Headers, Html,
        Http, IntoReply, Json, Message, Method, Mongrel2, Page, Query, Rejection, RemoteAddr, Reply,
        Response, Routes, Service, Services, State, Status, Template, Text,
    };
}
