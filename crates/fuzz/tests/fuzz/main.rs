//! The targets, fed.

#[cfg(test)]
mod feeding;
