//! What passes and what does not, without a server.
