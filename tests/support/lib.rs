//! What the end-to-end tests share.

pub mod home;
pub mod hostile;
pub mod log;
pub mod plugins;
pub mod server;
pub mod wit;
