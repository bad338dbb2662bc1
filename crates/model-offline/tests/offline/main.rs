//! The built-in model through its port, as a caller of the server meets it.

#[cfg(test)]
mod port;
