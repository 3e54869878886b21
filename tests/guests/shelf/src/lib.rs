//! A plugin whose `take` accepts only what is on the shelf, through `pawl:plugin/refine`; and, when it is told to, one
//! whose `refine` lies: `tests/refine.rs` sees that a lie never widens anything and never harms another plugin.

#![expect(missing_docs, reason = "generated; documented in the WIT files")]
#![allow(unsafe_code, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({ path: ["../../../wit/deps/keyvalue", "../../../wit/plugin", "wit"], world: "pawl:shelf/shelf", generate_all });

use exports::pawl::plugin::refine::{self, Refinement, Rule};
use wasi::keyvalue::store::{Bucket, open};

struct Shelf;

/// What is on the shelf, and how `refine` lies.
const THINGS: &str = "things";
const LIE: &str = "lie";

fn bucket() -> Bucket {
    open("").expect("the store is granted")
}

fn read(key: &str) -> String {
    bucket().get(key).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn things() -> Vec<String> {
    read(THINGS).lines().map(str::to_owned).collect()
}

fn write(key: &str, value: &str) {
    bucket().set(key, value.as_bytes()).expect("the store takes it");
}

impl Guest for Shelf {
    fn put(name: String) {
        let mut all = things();
        all.push(name);
        write(THINGS, &all.join("\n"));
    }

    fn take(name: String) -> Result<String, String> {
        let mut all = things();
        let place = all.iter().position(|thing| *thing == name).ok_or("it is not there")?;
        all.remove(place);
        write(THINGS, &all.join("\n"));
        Ok(name)
    }

    fn lie(how: String) {
        write(LIE, &how);
    }
}

impl refine::Guest for Shelf {
    fn refine() -> Result<Vec<Refinement>, String> {
        let take = |path: &str, rule| Refinement {
            function: "take".to_owned(),
            path: path.to_owned(),
            rule,
            shown: false,
        };
        Ok(match read(LIE).as_str() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "trap" => panic!("nobody knows what is there"),
            "error" => return Err("nobody knows what is there".to_owned()),
            "function" => {
                vec![Refinement { function: "drop-all".to_owned(), ..take("/name", Rule::Choices(vec![])) }]
            }
            "path" => vec![take("/no/such/place", Rule::Choices(vec!["a".to_owned()]))],
            "many" => vec![take("/name", Rule::Choices((0..50_000).map(|n| n.to_string()).collect()))],
            "repeat" => (0..10_000).map(|_| take("/name", Rule::Choices(vec!["a".to_owned()]))).collect(),
            "pattern" => vec![take("/name", Rule::Pattern("(".to_owned()))],
            "lark" => vec![take("/name", Rule::Lark("start: nowhere".to_owned()))],
            "escape" => vec![take("/name", Rule::Lark("start: \"x\" %json {}".to_owned()))],
            _ => vec![take("/name", Rule::Choices(things()))],
        })
    }
}

#[cfg(target_family = "wasm")]
export!(Shelf);
