//! The adapter against a provider that hangs, trickles, lies, breaks off and sends too much.

#[cfg(test)]
mod ask;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod good;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod retries;
