//! `wasi:random`: real random numbers where the plugin has them, else the same sequence in every call.
//!
//! Invariant: without the capability, nothing that a guest learns here differs between two calls. With it, all three
//! interfaces, the *insecure* ones too, draw from the generator of the thread, which is seeded by the system.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::call::State;

/// How much a guest gets at once, in bytes.
const MAX_LENGTH: u64 = 1 << 20;
/// Where the sequence of a plugin without the capability begins.
const SEED: [u8; 32] = *b"pawl: no randomness was granted.";

/// The numbers of one call.
#[derive(Default)]
pub(crate) struct Random(
    /// Made at the first use; not used where the capability is effective.
    Option<Box<ChaCha8Rng>>,
);

/// Links `wasi:random`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    random::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    insecure::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    insecure_seed::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl State {
    fn draw<T>(&mut self, work: impl FnOnce(&mut dyn RngCore) -> T) -> T {
        if self.capabilities.random {
            work(&mut rand::rng())
        } else {
            work(self.random.0.get_or_insert_with(|| Box::new(ChaCha8Rng::from_seed(SEED))))
        }
    }

    fn draw_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > MAX_LENGTH {
            return Err(wasmtime::Error::msg(format!(
                "{length} random bytes were asked for at once; {MAX_LENGTH} at most"
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.draw(|generator| generator.fill_bytes(&mut bytes));
        Ok(bytes)
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.draw(|generator| generator.next_u64()))
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.draw(|generator| generator.next_u64()))
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.draw(|generator| generator.random()))
    }
}
