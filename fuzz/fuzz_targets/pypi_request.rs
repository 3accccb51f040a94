#![no_main]

use brubeck_runtime::wire::service::Dialect;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus { brubeck_fuzz::service_request(Dialect::Pypi, data) });
