//! What the end-to-end tests share.

pub mod home;
pub mod plugins;
pub mod server;
pub mod wit;
