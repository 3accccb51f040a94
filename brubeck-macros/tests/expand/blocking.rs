// #[service_handler(path = "^/primes$", blocking, concurrency = 2)]
// fn primes(below: Arg<u64>) -> Json<Vec<u64>> {
//     sieve(below.0)
// }

fn primes(below: Arg<u64>) -> Json<Vec<u64>> {
    sieve(below.0)
}
///
///`request ^/primes$`
#[doc(hidden)]
#[allow(non_camel_case_types)]
enum primes {}
impl ::brubeck::__private::Routed for primes {
    const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::new(
            "primes",
            "^/primes$",
            ::brubeck::__private::Method::Request,
            ::brubeck::__private::Kind::Service,
        )
        .with_automaton(
            b"\0\x01//\x06\0\0\x01pp\x0C\0\0\x01rr\x12\0\0\x01ii\x18\0\0\x01mm\x1E\0\0\x01ee$\0\0\x01ss*\0\x01\0",
            "/primes",
        )
        .blocking()
        .concurrency(2)
        .schema(
            ::brubeck::__private::schema!(
                ("below" : Arg < u64 >) -> Json < Vec < u64 > >
            ),
        )
        .at(::core::file!(), ::core::line!());
    #[allow(unexpected_cfgs)]
    const CHECKED: ::core::primitive::bool = {
        #[cfg(not(rust_analyzer))]
        {
            #[allow(unused_imports)]
            use ::brubeck::__private::{ResponseOf, AnyApp, ArgsOf, FromMessage};
            use ::core::marker::PhantomData;
            let _: PhantomData<<Arg<u64> as FromMessage<AnyApp>>::Rejection>;
            ::brubeck::__private::check_sendable(
                <Json<Vec<u64>> as ::brubeck::__private::IntoReply>::UNSENDABLE,
            );
        }
        true
    };
}
impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S>
for primes
where
    Arg<u64>: ::brubeck::__private::FromMessage<__S>,
{
    #[allow(deprecated)]
    fn handle(
        __cx: ::brubeck::__private::Context<__S>,
    ) -> ::brubeck::__private::BoxFuture {
        ::brubeck::__private::run_handler(
            __cx,
            (::brubeck::__private::extracted::<Arg<u64>>("below"),),
            |(__argument0,)| async move {
                static __LIMIT: ::brubeck::__private::ConcurrencyLimit = ::brubeck::__private::ConcurrencyLimit::new(
                    2,
                );
                let __permit = __LIMIT.acquire().await;
                let __run = move || {
                    let __permit = __permit;
                    <Json<
                        Vec<u64>,
                    > as ::brubeck::__private::IntoReply>::into_reply(
                        primes(__argument0),
                    )
                };
                ::brubeck::__private::blocking(__run).await
            },
            ::core::convert::identity,
        )
    }
}
const _: () = {
    ///Builds a request to [`primes`](primes()).
    #[must_use = "a request does nothing until a client sends it"]
    #[allow(non_camel_case_types)]
    struct primes_request(::brubeck::__private::ServiceRequest);
    #[allow(clippy::should_implement_trait)]
    impl primes_request {
        ///Sets the argument `below`.
        fn below<__V>(self, __value: __V) -> Self
        where
            Arg<u64>: ::brubeck::__private::Fill<__V>,
        {
            Self(
                <Arg<
                    u64,
                > as ::brubeck::__private::Fill<__V>>::fill(self.0, "below", __value),
            )
        }
    }
    impl ::core::convert::From<primes_request> for ::brubeck::__private::ServiceRequest {
        fn from(__request: primes_request) -> Self {
            __request.0
        }
    }
    #[allow(dead_code)]
    impl primes {
        fn __started(__path: ::std::string::String) -> primes_request {
            primes_request(
                ::brubeck::__private::ServiceRequest::to(__path)
                    .with_method(::brubeck::__private::Method::Request),
            )
        }
        /// Returns a request to this handler. The parameters fill the captures of the path; each other argument has a method of the same name, which sets it.
        fn request() -> primes_request {
            let mut path = ::std::string::String::new();
            path.push_str("/primes");
            Self::__started(path)
        }
    }
};
#[allow(unexpected_cfgs)]
const _: () = {
    #[cfg(rust_analyzer)]
    mod handler_keys {
        use ::brubeck::__private::keys::*;
        use self::{path as _, blocking as _, concurrency as _};
    }
};
