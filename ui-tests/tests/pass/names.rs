#![deny(warnings, clippy::all)]
//! Keywords of all editions, names of crates and words of macros, as names of handlers, arguments, operations, modules and contracts.
use brubeck::prelude::*;

macro_rules! each_name {
    ($($name:ident $text:literal;)*) => {
        $(pub mod $name {
            pub mod web {
                use brubeck::prelude::*;

                #[get("/web")]
                pub async fn $name($name: State<u8>) -> String {
                    $name.0.to_string()
                }

                pub const ROUTES: Routes<u8> = routes![$name];
            }
            pub mod service {
                use brubeck::prelude::*;

                #[service_handler("/service")]
                pub async fn $name($name: Arg<u64>, other: Option<Arg<u8>>) -> Json<u64> {
                    drop(other);
                    Json($name.0)
                }

                pub const ROUTES: Routes<()> = routes![$name];
            }
            pub mod operation {
                use brubeck::prelude::*;

                #[service_client]
                pub trait Contract {
                    #[call("/operation")]
                    async fn $name(&self, $name: u64, other: u8) -> Result<u64, Problem>;
                }

                #[service_handler(contract::$name)]
                pub async fn $name(args: Args<contract::$name>) -> Result<u64, Problem> {
                    Ok(args.$name)
                }

                #[response_handler(contract::$name)]
                pub async fn response($name: ServiceResponse<u64>) -> u64 {
                    $name.body
                }

                pub const ROUTES: Routes<()> = routes![$name];
                serves!(ROUTES => contract);

                pub fn request_of(client: &ContractClient) -> brubeck::ServiceRequest {
                    client.$name(7, 8).into_request()
                }
            }
        })*

        fn main() {
            $({
                assert_eq!(brubeck::url!($name::web::$name).unwrap(), "/web");
                let request: brubeck::ServiceRequest = $name::service::$name::request().$name(7u64).into();
                assert_eq!(request.arguments()[$text], 7);
                let operation = $name::operation::contract::$name { $name: 7, other: 8 };
                let request = brubeck::Operation::into_request(operation);
                assert_eq!(request.arguments()[$text], 7);
                assert_eq!($name::web::ROUTES.specs().next().unwrap().name, $text);
                assert_eq!($name::service::ROUTES.specs().next().unwrap().name, $text);
                assert_eq!($name::operation::contract::OPERATIONS[0].name, concat!("contract::", $text));
                let _ = ($name::operation::request_of, $name::operation::ROUTES, $name::operation::response);
            })*
            contracts();
            captures();
        }
    };
}

each_name! {
    r#as "as"; r#break "break"; r#const "const"; r#continue "continue"; r#else "else"; r#enum "enum";
    r#extern "extern"; r#false "false"; r#fn "fn"; r#for "for"; r#if "if"; r#impl "impl"; r#in "in"; r#let "let";
    r#loop "loop"; r#match "match"; r#mod "mod"; r#move "move"; r#mut "mut"; r#pub "pub"; r#ref "ref";
    r#return "return"; r#static "static"; r#struct "struct"; r#trait "trait"; r#true "true"; r#type "type";
    r#unsafe "unsafe"; r#use "use"; r#where "where"; r#while "while"; r#async "async"; r#await "await"; r#dyn "dyn";
    r#abstract "abstract"; r#become "become"; r#box "box"; r#do "do"; r#final "final"; r#macro "macro";
    r#override "override"; r#priv "priv"; r#typeof "typeof"; r#unsized "unsized"; r#virtual "virtual";
    r#yield "yield"; r#gen "gen"; alloc "alloc"; bytes "bytes"; http "http"; serde "serde"; serde_json "serde_json";
    tokio "tokio"; accounts "accounts"; tracing "tracing"; union "union"; auto "auto"; default "default";
    macro_rules "macro_rules"; raw "raw"; safe "safe"; request "request"; get "get"; post "post"; main "main";
    test "test"; call "call"; handle "handle"; service_handler "service_handler"; routes "routes"; serves "serves";
    url "url"; path "path"; body "body"; value "value"; größe "größe"; 名前 "名前"; имя "имя";
}

macro_rules! each_contract {
    ($($name:ident)*) => {
        fn contracts() {
            $({
                // In a block of its own, because the module of the operations hides a crate of the same name.
                #[service_client]
                trait $name {
                    #[call("/operation")]
                    async fn operation(&self, value: u64) -> Result<u8, Problem>;
                }
            })*
        }
    };
}

each_contract! {
    As Break Const Continue Else Enum Extern False Fn For If Impl In Let Loop Match Mod Move Mut Pub Ref Return Static
    Struct Trait True Type Unsafe Use Where While Async Await Dyn Abstract Become Do Final Macro Override Priv Try
    Typeof Unsized Virtual Yield Gen Union Auto U8 U64 Bool Char Str F64 Usize Bytes Http Serde SerdeJson Tokio
    Tracing Request Routes Operations Call Client Überblick Größe Имя
}

#[get("/template/{type}/{größe}/{*async}")]
async fn template(r#type: String, größe: u64, r#async: String) -> String {
    format!("{type}{größe}{async}", r#type = r#type, r#async = r#async)
}

#[get("^/regex/(?<gen>[a-z]+)/(?<名前>[0-9]+)$")]
async fn regex(r#gen: String, 名前: u64) -> String {
    format!("{}{名前}", r#gen)
}

#[service_handler("/service/{match}")]
async fn service(r#match: u64, r#fn: Arg<u8>) {
    drop((r#match, r#fn));
}

#[service_client]
trait Captures {
    #[call("/captures/{type}/{größe}/{*gen}")]
    async fn captures(&self, r#type: String, größe: u64, r#gen: String) -> Result<u8, Problem>;
}

fn captures() {
    assert_eq!(brubeck::url!(template, r#type = "a", größe = 7, r#async = "b/c").unwrap(), "/template/a/7/b/c");
    assert_eq!(brubeck::url!(regex, r#gen = "a", 名前 = 7).unwrap(), "/regex/a/7");
    let request: brubeck::ServiceRequest = service::request(7u64).r#fn(1u8).into();
    assert_eq!(request.path(), "/service/7");
    let operation = captures::captures { r#type: "a".to_owned(), größe: 7, r#gen: "b/c".to_owned() };
    assert_eq!(brubeck::Operation::into_request(operation).path(), "/captures/a/7/b/c");
}
