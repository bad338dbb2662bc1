//! The vault with a store in memory, the real way out, and a provider of our own that rotates tokens and
//! punishes whoever shows an old one; and model calls whose beginning that store refuses.

#[cfg(test)]
mod leaks;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod races;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod unwritten;
#[cfg(test)]
mod using;
#[cfg(test)]
mod world;
