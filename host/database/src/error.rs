//! Why a database gave nothing back.
//!
//! Invariant: no message holds a password, the address of a server or a path of the host; each may be shown to a model.

/// Why nothing came back. The payload says what is wrong and how to mend the statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The database was granted, but its file is not there.
    #[error("the database is missing")]
    Missing,
    /// A statement given for reading would do more than read.
    #[error("{0}")]
    NotReadOnly(String),
    /// A statement given for writing is none of those that may be written, or uses what is not on the allow-list.
    #[error("{0}")]
    NotAllowed(String),
    /// The statement may be written, but a trial of it could not be undone.
    #[error("{0}")]
    NoTrial(String),
    /// The database refused the statement; its own message.
    #[error("{0}")]
    Sql(String),
    /// Another program holds the database locked, or its disk is full: nothing was done, and another time it can be.
    #[error("{0}")]
    Busy(String),
    /// A limit was reached; which one, and its value.
    #[error("{0}")]
    Limit(String),
    /// What the transaction does under a key cannot be recorded with it, so nothing was kept; why, and the mend.
    #[error("{0}")]
    NotRecordable(String),
    /// The key is recorded already: what it stands for took place, and was not done again.
    #[error("this was done before and is recorded; nothing was done again")]
    Recorded,
    /// The connection was lost while the transaction was being kept: whether it was is not known.
    #[error("the connection was lost while it was written; whether it was is not known")]
    InDoubt,
    /// The server cannot be reached or does not let us in.
    #[error("{0}")]
    Unavailable(String),
}
