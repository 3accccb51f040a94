#![deny(warnings, clippy::all)]
#![allow(non_snake_case)]
//! An operation may have the name of anything that the types of its contract use, and of the other items of their module.
use brubeck::prelude::*;
use brubeck::Operation;

pub mod model {
    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct Model {
        pub id: u64,
    }
}

macro_rules! each_operation {
    ($($name:ident)*) => {
        #[service_client]
        pub trait Store {
            #[call("/fixed")]
            async fn types_of_the_contract(&self, name: String, model: model::Model, time: std::time::Duration)
                -> Result<core::primitive::u64, Problem>;
            $(
                #[call("/each", method = "post")]
                #[cfg(all())]
                async fn $name(&self, number: u64, model: model::Model) -> Result<std::vec::Vec<model::Model>, Problem>;
            )*
        }

        pub struct Served;

        impl Store for Served {
            async fn types_of_the_contract(&self, _: String, model: model::Model, _: std::time::Duration) -> Result<u64, Problem> {
                Ok(model.id)
            }
            $(
                async fn $name(&self, _: u64, model: model::Model) -> Result<Vec<model::Model>, Problem> {
                    Ok(vec![model])
                }
            )*
        }

        fn each(store: &StoreClient) -> Vec<(&'static str, String)> {
            vec![$({
                let call = store.$name(7, model::Model { id: 1 });
                let fields = store::$name { number: 7, model: model::Model { id: 1 } };
                assert_eq!(fields.number, 7u64);
                drop(call);
                (store::$name::SPEC.name, fields.into_request().path().to_owned())
            }),*]
        }
    };
}

each_operation! {
    // Primitive types, and names of the prelude.
    u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char str
    String Vec Option Result Box Some None Ok Err Send Sync Clone Copy Drop drop Iterator From Into Default
    // Crates, and a module of this file.
    std core alloc brubeck bytes http serde serde_json tokio tracing model
    // Items of the module of the operations, of the client, and of brubeck.
    store routes operations OPERATIONS SPEC call client request response json Problem Store StoreClient
    // Keywords, of every edition.
    r#as r#break r#const r#continue r#else r#enum r#extern r#false r#fn r#for r#if r#impl r#in r#let r#loop r#match r#mod r#move
    r#mut r#pub r#ref r#return r#static r#struct r#trait r#true r#type r#unsafe r#use r#where r#while r#async r#await r#dyn r#abstract
    r#become r#box r#do r#final r#macro r#override r#priv r#try r#typeof r#unsized r#virtual r#yield r#gen union auto macro_rules raw safe default
    // Names of other scripts.
    größe 名前 имя
}

const ROUTES: Routes<Served> = store::routes();
serves!(ROUTES => store);

fn main() {
    assert_eq!(ROUTES.len(), store::OPERATIONS.len());
    assert!(store::OPERATIONS.iter().any(|spec| spec.name == "store::match"));
    let _ = each;
}
