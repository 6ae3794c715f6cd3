//! Links, clicks and statistics as rows of a file. The server exports with this, and so does the command line;
//! what is written here is read again by `hoplog import`.

pub mod cell;
pub mod click;
pub mod link;
pub mod orphan;
mod standing;
pub mod statistics;
mod table;

pub use standing::Standing;
pub use table::{Column, Form, Table};
