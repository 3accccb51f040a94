// #[service_handler(path = "^/service/slow", method = "request")]
// async fn slow(body: Json<Echo>) -> Reply<Echoed> {
//     Reply::new(Echoed { text: body.0.text }).status(200, "Took a while, but I am back.")
// }

async fn slow(body: Json<Echo>) -> Reply<Echoed> {
    Reply::new(Echoed { text: body.0.text }).status(200, "Took a while, but I am back.")
}
///
///`request ^/service/slow`
#[doc(hidden)]
#[allow(non_camel_case_types)]
enum slow {}
impl ::brubeck::__private::Routed for slow {
    const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::new(
            "slow",
            "^/service/slow",
            ::brubeck::__private::Method::Request,
            ::brubeck::__private::Kind::Service,
        )
        .with_automaton(
            b"\0\x01//\x06\0\0\x01ss\x0C\0\0\x01ee\x12\0\0\x01rr\x18\0\0\x01vv\x1E\0\0\x01ii$\0\0\x01cc*\0\0\x01ee0\0\0\x01//6\0\0\x01ss<\0\0\x01llB\0\0\x01ooH\0\0\x01wwN\0\x03\x01\0\xFFN\0",
            "/service/slow",
        )
        .schema(
            ::brubeck::__private::schema!(("body" : Json < Echo >) -> Reply < Echoed >),
        )
        .at(::core::file!(), ::core::line!());
    #[allow(unexpected_cfgs)]
    const CHECKED: ::core::primitive::bool = {
        #[cfg(not(rust_analyzer))]
        {
            #[allow(unused_imports)]
            use ::brubeck::__private::{ResponseOf, AnyApp, ArgsOf, FromMessage};
            use ::core::marker::PhantomData;
            let _: PhantomData<<Json<Echo> as FromMessage<AnyApp>>::Rejection>;
            ::brubeck::__private::check_sendable(
                <Reply<Echoed> as ::brubeck::__private::IntoReply>::UNSENDABLE,
            );
        }
        true
    };
}
impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S>
for slow
where
    Json<Echo>: ::brubeck::__private::FromMessage<__S>,
{
    #[allow(deprecated)]
    fn handle(
        __cx: ::brubeck::__private::Context<__S>,
    ) -> ::brubeck::__private::BoxFuture {
        ::brubeck::__private::run_handler(
            __cx,
            (::brubeck::__private::extracted::<Json<Echo>>("body"),),
            |(__argument0,)| slow(__argument0),
            |__output| <Reply<
                Echoed,
            > as ::brubeck::__private::IntoReply>::into_reply(__output),
        )
    }
}
const _: () = {
    ///Builds a request to [`slow`](slow()).
    #[must_use = "a request does nothing until a client sends it"]
    #[allow(non_camel_case_types)]
    struct slow_request(::brubeck::__private::ServiceRequest);
    #[allow(clippy::should_implement_trait)]
    impl slow_request {
        ///Sets the argument `body`.
        fn body<__V>(self, __value: __V) -> Self
        where
            Json<Echo>: ::brubeck::__private::Fill<__V>,
        {
            Self(
                <Json<
                    Echo,
                > as ::brubeck::__private::Fill<__V>>::fill(self.0, "body", __value),
            )
        }
    }
    impl ::core::convert::From<slow_request> for ::brubeck::__private::ServiceRequest {
        fn from(__request: slow_request) -> Self {
            __request.0
        }
    }
    #[allow(dead_code)]
    impl slow {
        fn __started(__path: ::std::string::String) -> slow_request {
            slow_request(
                ::brubeck::__private::ServiceRequest::to(__path)
                    .with_method(::brubeck::__private::Method::Request),
            )
        }
        /// Returns a request to this handler. The parameters fill the captures of the path; each other argument has a method of the same name, which sets it.
        fn request() -> slow_request {
            let mut path = ::std::string::String::new();
            path.push_str("/service/slow");
            Self::__started(path)
        }
    }
};
#[allow(unexpected_cfgs)]
const _: () = {
    #[cfg(rust_analyzer)]
    mod handler_keys {
        use ::brubeck::__private::keys::*;
        use self::{path as _, method as _};
    }
};
