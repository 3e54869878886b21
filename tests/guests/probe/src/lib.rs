//! A guest that tries each capability and says what came of it, for `tests/capabilities.rs`. It goes to the interfaces
//! themselves, not through a library that could refuse what the host should.

#[cfg(target_family = "wasm")]
mod files;
#[cfg(target_family = "wasm")]
mod web;

#[cfg(target_family = "wasm")]
mod bindings {
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ world: "pawl:probe/probe", path: ["../../../wit", "wit"], generate_all });
}

#[cfg(target_family = "wasm")]
mod component {
    use wasip2::clocks::{monotonic_clock, wall_clock};
    use wasip2::random::{insecure, insecure_seed, random};

    use crate::bindings::pawl::host::{database, documents, llm};
    use crate::bindings::wasi::{config, keyvalue};
    use crate::bindings::{Deed, Guest};
    use crate::{files, web};

    struct Component;

    impl Guest for Component {
        fn clocks() -> (u64, u64, u64) {
            let before = monotonic_clock::now();
            monotonic_clock::subscribe_duration(1_000_000).block();
            (wall_clock::now().seconds, before, monotonic_clock::now())
        }

        fn numbers() -> Vec<String> {
            let (one, two) = insecure_seed::insecure_seed();
            let bytes = random::get_random_bytes(3);
            vec![
                random::get_random_u64().to_string(),
                format!("{bytes:?}"),
                insecure::get_insecure_random_u64().to_string(),
                format!("{one} {two}"),
            ]
        }

        fn setting(key: String) -> Result<Option<String>, String> {
            config::store::get(&key).map_err(said)
        }

        fn settings() -> Result<Vec<(String, String)>, String> {
            config::store::get_all().map_err(said)
        }

        fn keep(key: String, value: String) -> Result<String, String> {
            let bucket = keyvalue::store::open("").map_err(said)?;
            bucket.set(&key, value.as_bytes()).map_err(said)?;
            let kept = bucket.get(&key).map_err(said)?;
            Ok(String::from_utf8_lossy(&kept.unwrap_or_default()).into_owned())
        }

        fn tables(database: String) -> Result<Vec<String>, String> {
            let tables = database::tables(&database).map_err(said)?;
            Ok(tables.into_iter().map(|table| table.name).collect())
        }

        fn list_documents(collection: String) -> Result<Vec<String>, String> {
            let page = documents::list(&collection, None).map_err(said)?;
            Ok(page.documents.into_iter().map(|document| document.id).collect())
        }

        fn read_document(collection: String, id: String) -> Result<String, String> {
            let bytes = documents::read(&collection, &id, 0, 1000).map_err(said)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }

        fn ask(
            prompt: String,
            schema: Option<String>,
            max_tokens: Option<u32>,
            times: u32,
        ) -> Result<String, String> {
            let message = llm::Message { role: llm::Role::User, content: prompt };
            let mut last = String::new();
            for _ in 0..times {
                last = llm::complete(std::slice::from_ref(&message), schema.as_deref(), max_tokens)
                    .map_err(said)?;
            }
            Ok(last)
        }

        fn embed(text: String) -> Result<u32, String> {
            Ok(llm::embed(&[text]).map_err(said)?.first().map_or(0, |vector| vector.len() as u32))
        }

        fn fetch(method: String, url: String, body: String) -> Result<(u16, String), String> {
            web::fetch(&method, &url, body.as_bytes())
        }

        fn folders() -> Vec<String> {
            files::folders()
        }

        fn files(folder: String, deed: Deed, path: String, other: String) -> Result<String, String> {
            files::try_it(&folder, deed, &path, &other)
        }
    }

    fn said(error: impl std::fmt::Debug) -> String {
        format!("{error:?}")
    }

    #[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
    mod export {
        use super::Component;
        use crate::bindings;
        bindings::export!(Component with_types_in bindings);
    }
}
