// #[response_handler(slow_echo::echo)]
// async fn on_slow(reply: ServiceResponse<Echoed>) -> Seen {
//     Seen(reply.body.text)
// }

async fn on_slow(reply: ServiceResponse<Echoed>) -> Seen {
    Seen(reply.body.text)
}
///
///handles the responses of `slow_echo::echo`
#[doc(hidden)]
#[allow(non_camel_case_types)]
enum on_slow {}
impl ::brubeck::__private::Routed for on_slow {
    const SPEC: ::brubeck::__private::Spec = <slow_echo::echo as ::brubeck::__private::Operation>::SPEC
        .handled_by(
            "on_slow",
            ::brubeck::__private::Method::Response,
            ::brubeck::__private::Kind::Response,
        )
        .at(::core::file!(), ::core::line!());
    #[allow(unexpected_cfgs)]
    const CHECKED: ::core::primitive::bool = {
        #[cfg(not(rust_analyzer))]
        {
            #[allow(unused_imports)]
            use ::brubeck::__private::{ResponseOf, AnyApp, ArgsOf, FromMessage};
            use ::core::marker::PhantomData;
            let _: PhantomData<
                <ServiceResponse<Echoed> as ResponseOf<slow_echo::echo>>::Proof,
            >;
        }
        true
    };
}
impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S>
for on_slow
where
    ServiceResponse<Echoed>: ::brubeck::__private::FromMessage<__S>,
{
    #[allow(deprecated)]
    fn handle(
        __cx: ::brubeck::__private::Context<__S>,
    ) -> ::brubeck::__private::BoxFuture {
        ::brubeck::__private::run_handler(
            __cx,
            (::brubeck::__private::extracted::<ServiceResponse<Echoed>>("reply"),),
            |(__argument0,)| on_slow(__argument0),
            |__output| ::brubeck::__private::handler_value(__output),
        )
    }
}
impl ::brubeck::__private::Handles<slow_echo::echo> for on_slow {
    type Output = Seen;
}
