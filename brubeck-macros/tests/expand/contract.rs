// #[service_client]
// pub trait SlowEcho {
//     /// Says it back, late.
//     #[call("/service/slow/{room}", timeout = "5s", idempotent)]
//     async fn echo(&self, room: u64, text: String) -> Result<Echoed, Problem>;
// }

#[allow(dead_code)]
pub trait SlowEcho {
    /// Says it back, late.
    fn echo(
        &self,
        room: u64,
        text: String,
    ) -> impl ::core::future::Future<
        Output = Result<Echoed, Problem>,
    > + ::core::marker::Send;
}
///The operations of [`SlowEcho`], with their arguments as fields.
pub mod slow_echo {
    /// Says it back, late.
    #[allow(non_camel_case_types, missing_docs, private_interfaces)]
    pub struct echo {
        ///
        ///`room: u64`
        pub room: <__Contract as ::brubeck::__private::ArgumentType<
            0usize,
            0usize,
        >>::Type,
        ///
        ///`text: String`
        pub text: <__Contract as ::brubeck::__private::ArgumentType<
            0usize,
            1usize,
        >>::Type,
    }
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(super) enum __Contract {}
    ///Returns the routes of all operations, for a state that implements [`SlowEcho`].
    #[allow(private_bounds)]
    pub const fn routes<__S: ::brubeck::__private::AppState>() -> ::brubeck::__private::Routes<
        __S,
    >
    where
        __Contract: ::brubeck::__private::ContractRoutes<__S>,
    {
        <__Contract as ::brubeck::__private::ContractRoutes<__S>>::ROUTES
    }
    ///The routes of all operations.
    pub const OPERATIONS: [&::brubeck::__private::Spec; 1usize] = [
        &<echo as ::brubeck::__private::Operation>::SPEC,
    ];
    #[allow(dead_code)]
    pub(super) static __OPERATIONS: [&::brubeck::__private::Spec; 1usize] = OPERATIONS;
}
const _: () = {
    const _: () = {
        const __ARGUMENT0: ::brubeck::__private::InPath<u64> = ::brubeck::__private::in_path::<
            u64,
        >("room", 0usize);
        const __ARGUMENT1: ::brubeck::__private::Named<String> = ::brubeck::__private::named::<
            String,
        >("text");
        impl ::brubeck::__private::ArgumentType<0usize, 0usize>
        for slow_echo::__Contract {
            type Type = u64;
        }
        impl ::brubeck::__private::ArgumentType<0usize, 1usize>
        for slow_echo::__Contract {
            type Type = String;
        }
        impl ::brubeck::__private::Operation for slow_echo::echo {
            type Ok = <Result<
                Echoed,
                Problem,
            > as ::brubeck::__private::OperationResult>::Ok;
            type Error = <Result<
                Echoed,
                Problem,
            > as ::brubeck::__private::OperationResult>::Error;
            const OK: ::brubeck::__private::BodyCodec<Self::Ok> = ::brubeck::__private::body_codec::<
                <Result<Echoed, Problem> as ::brubeck::__private::OperationResult>::Ok,
            >();
            const ERROR: ::brubeck::__private::BodyCodec<Self::Error> = ::brubeck::__private::body_codec::<
                <Result<Echoed, Problem> as ::brubeck::__private::OperationResult>::Error,
            >();
            const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::new(
                    "slow_echo::echo",
                    "/service/slow/{room}",
                    ::brubeck::__private::Method::Request,
                    ::brubeck::__private::Kind::Service,
                )
                .with_captures(&["room"])
                .with_regex(
                    "\\A/service/slow/(?<room>(?:(?:[\\u{0}-\\u{2E}0-\\u{10FFFF}]|(?-u:\\xFF)))+)\\z",
                )
                .with_automaton(
                    b"\0\x01//\x06\0\0\x01ss\x0C\0\0\x01ee\x12\0\0\x01rr\x18\0\0\x01vv\x1E\0\0\x01ii$\0\0\x01cc*\0\0\x01ee0\0\0\x01//6\0\0\x01ss<\0\0\x01llB\0\0\x01ooH\0\0\x01wwN\0\0\x01//T\0\0\x03\0.b\x000\x7Fb\0\xC0\xFFb\0\x01\x02\0.b\x000\xFFb\0",
                    "/service/slow/a",
                )
                .schema(
                    ::brubeck::__private::schema!(
                        ("room" : ::brubeck::__private::InPath < u64 >, "text" :
                        ::brubeck::__private::Named < String >) -> ::core::result::Result
                        < ::brubeck::__private::Json < < Result < Echoed, Problem > as
                        ::brubeck::__private::OperationResult > ::Ok >,
                        ::brubeck::__private::Json < < Result < Echoed, Problem > as
                        ::brubeck::__private::OperationResult > ::Error >>
                    ),
                )
                .of_operation("room: u64\ntext: String\nEchoed\nProblem")
                .at(::core::file!(), ::core::line!());
            const CONTRACT_ROUTES: &'static [&'static ::brubeck::__private::Spec] = &slow_echo::__OPERATIONS;
            const TIMEOUT: ::core::option::Option<::core::time::Duration> = ::core::option::Option::Some(
                ::core::time::Duration::from_millis(5000u64),
            );
            fn into_request(self) -> ::brubeck::__private::ServiceRequest {
                let __text0 = __ARGUMENT0.text(self.room);
                let mut __path = ::std::string::String::new();
                __path.push_str("/service/slow/");
                ::brubeck::__private::push_segment(&mut __path, &__text0);
                let __request = ::brubeck::__private::ServiceRequest::to(__path)
                    .with_method(::brubeck::__private::Method::Request)
                    .idempotent();
                let __request = __request.with_path_argument("room", __text0);
                let __request = __ARGUMENT1.write(__request, self.text);
                __request
            }
        }
        impl ::brubeck::__private::ReadOperation for slow_echo::echo {
            fn read<__S>(
                __arguments: &::brubeck::__private::Arguments<'_, __S>,
            ) -> ::core::result::Result<Self, ::brubeck::__private::Rejection> {
                let mut __value0 = __ARGUMENT0.slot();
                let mut __value1 = __ARGUMENT1.slot();
                __arguments.fill(&mut [&mut __value0, &mut __value1]);
                ::core::result::Result::Ok(slow_echo::echo {
                    room: __value0.take(__arguments)?,
                    text: __value1.take()?,
                })
            }
        }
    };
    #[allow(deprecated)]
    impl<
        __S: SlowEcho + ::brubeck::__private::AppState,
    > ::brubeck::__private::ContractRoutes<__S> for slow_echo::__Contract {
        const ROUTES: ::brubeck::__private::Routes<__S> = ::brubeck::__private::table(const {
            &[
                ::brubeck::__private::Entry {
                    route: ::brubeck::__private::ListedRoute::new(const {
                        &<slow_echo::echo as ::brubeck::__private::Operation>::SPEC
                    }),
                    handle: |__cx| ::std::boxed::Box::pin(async move {
                        let __args: slow_echo::echo = match ::brubeck::__private::read_operation(
                            &__cx,
                        ) {
                            ::core::result::Result::Ok(__args) => __args,
                            ::core::result::Result::Err(__response) => return __response,
                        };
                        let _ = &__args;
                        let __released = __cx.release_message();
                        ::brubeck::__private::operation_response::<
                            slow_echo::echo,
                        >(
                            <Result<
                                Echoed,
                                Problem,
                            > as ::brubeck::__private::OperationResult>::into_result(
                                <__S as SlowEcho>::echo(
                                        __released.state(),
                                        __args.room,
                                        __args.text,
                                    )
                                    .await,
                            ),
                        )
                    }),
                },
            ]
        });
    }
};
///A client of services that implement [`SlowEcho`].
///
///As an argument of a handler, it is provided by the state of the application.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct SlowEchoClient {
    client: ::brubeck::__private::Client,
}
#[allow(missing_docs, deprecated)]
impl SlowEchoClient {
    /// Returns a client that makes its calls with this untyped one.
    pub const fn new(client: ::brubeck::__private::Client) -> Self {
        Self { client }
    }
    /// Returns a client of the service at this address, which connects at its first call. If the address is invalid, the
    /// calls fail with `CallError::Refused`.
    pub fn at(
        address: impl ::core::convert::Into<::std::string::String>,
        credentials: impl ::core::convert::Into<::brubeck::__private::Credentials>,
    ) -> Self {
        Self::new(::brubeck::__private::lazy_client(address, credentials))
    }
    /// Says it back, late.
    pub fn echo(
        &self,
        room: u64,
        text: String,
    ) -> ::brubeck::__private::TypedCall<slow_echo::echo> {
        ::brubeck::__private::TypedCall::new(
            &self.client,
            slow_echo::echo { room, text },
        )
    }
}
#[allow(deprecated)]
impl<__S> ::brubeck::__private::FromMessage<__S> for SlowEchoClient
where
    __S: ::brubeck::__private::Provides<SlowEchoClient> + ::brubeck::__private::AppState,
{
    type Rejection = ::core::convert::Infallible;
    const OPERATIONS: &'static [&'static ::brubeck::__private::Spec] = &slow_echo::OPERATIONS;
    async fn from_message(
        __cx: &::brubeck::__private::Context<__S>,
    ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
        let __own: SlowEchoClient = ::brubeck::__private::Provides::provide(
            __cx.state(),
        );
        ::core::result::Result::Ok(
            Self::new(::brubeck::__private::client_for(__cx, __own.client)),
        )
    }
}
