//! The suite that every backend passes.

use crate::folder::Embedded;

store_tests::conformance!(Embedded);
