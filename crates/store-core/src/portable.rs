//! A tenant on its way from one deployment to another: lines that every durable backend writes and reads, in a container
//! that is sealed as a backup's is. What is derived from others' lines, such as trees and indexes, is not carried along: it
//! is made anew where the tenant arrives.

mod lines;
mod seal;

pub use lines::{Credential, IndexLines, Line, Summary, Told};
pub use seal::{FORMAT, Head, Reader, Sealed, Writer};
