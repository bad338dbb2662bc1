//! Entry bundles (C2SP tlog-tiles, "Log entries"): a tile's leaves, each after its length in two bytes.

/// The most bytes an entry can have, because its length is written in two.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// The bytes are not an entry bundle, or the entry does not fit in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The entry is longer than two bytes can say.
    #[error("an entry of {0} bytes is longer than {MAX_ENTRY_BYTES}")]
    TooLong(usize),
    /// The bundle ends inside an entry.
    #[error("the bundle ends inside an entry")]
    CutShort,
}

/// Appends an entry to a bundle.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(leaf.len()).map_err(|_| BundleError::TooLong(leaf.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
    Ok(())
}

/// The entries of a bundle, in order. After an error there are none.
#[derive(Clone, Debug)]
pub struct BundleEntries<'a> {
    rest: &'a [u8],
}

impl<'a> BundleEntries<'a> {
    /// The entries of `bundle`.
    pub fn new(bundle: &'a [u8]) -> Self {
        Self { rest: bundle }
    }
}

impl<'a> Iterator for BundleEntries<'a> {
    type Item = Result<&'a [u8], BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self
            .rest
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        self.rest = entry.map_or(&[], |(_, rest)| rest);
        Some(entry.map(|(entry, _)| entry).ok_or(BundleError::CutShort))
    }
}
