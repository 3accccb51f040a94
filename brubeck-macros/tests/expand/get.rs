// #[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]))?$")]
// pub async fn user(id: u64, tab: Option<char>, db: State<Db>) -> Json<User> {
//     db.user(id, tab).await
// }

pub async fn user(id: u64, tab: Option<char>, db: State<Db>) -> Json<User> {
    db.user(id, tab).await
}
///
///`get ^/user/(?<id>\d+)(?:/(?<tab>[a-z]))?$`
#[doc(hidden)]
#[allow(non_camel_case_types)]
pub enum user {}
impl ::brubeck::__private::Routed for user {
    const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::new(
            "user",
            r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]))?$",
            ::brubeck::__private::Method::Get,
            ::brubeck::__private::Kind::Web,
        )
        .with_captures(&["id", "tab"])
        .with_regex("\\A/user/(?<id>[0-9]+)(?:/(?<tab>[a-z]))?\\z")
        .with_automaton(
            b"\0\x01//\x06\0\0\x01uu\x0C\0\0\x01ss\x12\0\0\x01ee\x18\0\0\x01rr\x1E\0\0\x01//$\0\0\x0109*\0\x01\x02//4\x0009*\0\0\x01az:\0\x01\0",
            "/user/1",
        )
        .at(::core::file!(), ::core::line!());
    #[allow(unexpected_cfgs)]
    const CHECKED: ::core::primitive::bool = {
        #[cfg(not(rust_analyzer))]
        {
            #[allow(unused_imports)]
            use ::brubeck::__private::{ResponseOf, AnyApp, ArgsOf, FromMessage};
            use ::core::marker::PhantomData;
            let _: PhantomData<<State<Db> as FromMessage<AnyApp>>::Rejection>;
        }
        true
    };
}
impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S>
for user
where
    State<Db>: ::brubeck::__private::FromMessage<__S>,
{
    const STREAMS: ::core::primitive::bool = <State<
        Db,
    > as ::brubeck::__private::FromMessage<__S>>::BODY
        .is_stream();
    #[allow(deprecated)]
    fn handle(
        __cx: ::brubeck::__private::Context<__S>,
    ) -> ::brubeck::__private::BoxFuture {
        ::brubeck::__private::run_handler(
            __cx,
            (
                ::brubeck::__private::capture::<u64>(0usize),
                ::brubeck::__private::optional_capture::<char>(1usize),
                ::brubeck::__private::extracted::<State<Db>>("db"),
            ),
            |(__argument0, __argument1, __argument2)| user(
                __argument0,
                __argument1,
                __argument2,
            ),
            |__output| <Json<
                User,
            > as ::brubeck::__private::IntoReply>::into_reply(__output),
        )
    }
}
