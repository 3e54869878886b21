//! plugin.toml from anybody. Promises: [`pawl_plugin::fuzzing::manifest`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    pawl_plugin::fuzzing::manifest(text);
});
