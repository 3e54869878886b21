//! What the end-to-end tests share.

pub mod plugins;
pub mod server;
pub mod home;
pub mod wit;
