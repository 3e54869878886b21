//! stub
use crate::{Error, Picture, figures::Table};
/// stub
pub fn picture(_: &Table) -> Result<Picture, Error> {
    Err(Error::NotAnswerable(String::new()))
}
