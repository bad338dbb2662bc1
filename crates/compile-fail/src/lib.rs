//! Nothing ships from here: `tests/fail` holds programs that must not compile, `tests/pass` their twins.
