//! Tiles (C2SP tlog-tiles): runs of 256 hashes at every eighth level, under paths that static files and
//! caches can serve.

use super::Hash;
use super::proof::{Nodes, full_root};
use std::fmt;
use std::str::FromStr;

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree that a tile spans.
const TILE_HEIGHT: u32 = 8;
const HASH_BYTES: usize = 32;
const PATH_BASE: u64 = 1000;
/// The longest path of a tile whose index fits in 64 bits.
const MAX_PATH: usize = 64;

/// Which part of a level a tile or bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Place among the level's tiles, from the left.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256. Below 256 it is partial.
    pub width: u16,
}

/// What a path of the tile interface names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// Hashes. Level 0 has those of the leaves, level 1 the roots of full tiles of level 0, and so on.
    Hashes {
        /// The tile's level, 0 to 63.
        level: u8,
        /// Which part of it.
        span: Span,
    },
    /// The leaves themselves, as an entry bundle.
    Entries(
        /// Which leaves.
        Span,
    ),
}

/// The text is not a tile's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path such as tile/0/x001/234 or tile/entries/000.p/17")]
pub struct TilePathError;

impl fmt::Display for TilePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = match self {
            Self::Hashes { level, span } => {
                write!(out, "tile/{level}/")?;
                span
            }
            Self::Entries(span) => {
                out.write_str("tile/entries/")?;
                span
            }
        };
        write_index(out, span.index / PATH_BASE)?;
        write!(out, "{:03}", span.index % PATH_BASE)?;
        if u64::from(span.width) < TILE_WIDTH { write!(out, ".p/{}", span.width) } else { Ok(()) }
    }
}

fn write_index(out: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    if index == 0 {
        return Ok(());
    }
    write_index(out, index / PATH_BASE)?;
    write!(out, "x{:03}/", index % PATH_BASE)
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let parsed = if text.len() > MAX_PATH { None } else { parse_path(text) };
        // One tile has one path, so that a cache holds it once.
        parsed.filter(|path| path.to_string() == text).ok_or(TilePathError)
    }
}

fn parse_path(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let (digits, width) = match rest.split_once(".p/") {
        Some((digits, width)) => (digits, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (rest, 256),
    };
    let index = digits.split('/').try_fold(0_u64, |index, element| {
        let group: u64 = element.strip_prefix('x').unwrap_or(element).parse().ok()?;
        index.checked_mul(PATH_BASE)?.checked_add(group)
    })?;
    let span = Span { index, width };
    if kind == "entries" {
        return Some(TilePath::Entries(span));
    }
    let level = kind.parse().ok().filter(|level| *level < 64)?;
    Some(TilePath::Hashes { level, span })
}

/// How many hashes a tree of `size` leaves has at the tile level `level`.
fn hashes_at(level: u32, size: u64) -> u64 {
    size.checked_shr(level * TILE_HEIGHT).unwrap_or(0)
}

/// The tiles of hashes that a tree of `size` leaves has and one of `earlier` leaves had not, or had with
/// fewer hashes: what a log writes when it has grown.
pub fn new_tiles(earlier: u64, size: u64) -> Vec<TilePath> {
    let mut tiles = Vec::new();
    for level in 0..TILE_HEIGHT {
        let (had, has) = (hashes_at(level, earlier), hashes_at(level, size));
        if has <= had {
            break;
        }
        for index in had / TILE_WIDTH..has.div_ceil(TILE_WIDTH) {
            let span = Span { index, width: width_of(index, has) };
            tiles.push(TilePath::Hashes { level: level.to_le_bytes()[0], span });
        }
    }
    tiles
}

fn width_of(index: u64, hashes: u64) -> u16 {
    u16::try_from((hashes - index * TILE_WIDTH).min(TILE_WIDTH)).unwrap_or(256)
}

/// Gives the bytes of tiles of hashes.
pub trait TileReader {
    /// Why a tile could not be read.
    type Error;

    /// The tile's hashes, one after the other. A reader that only has a wider tile may give that.
    fn tile(&self, level: u8, span: Span) -> Result<Vec<u8>, Self::Error>;
}

/// The nodes of a tree of a known size, read from its tiles.
#[derive(Clone, Copy, Debug)]
pub struct TileNodes<R> {
    reader: R,
    size: u64,
}

/// Why the tiles do not give a node.
#[derive(Debug, thiserror::Error)]
pub enum TileError<E> {
    /// The node's leaves are not all in the tree.
    #[error("the node is not in the tree")]
    OutsideTree,
    /// A tile has fewer hashes than the tree's size asks for.
    #[error("a tile has too few hashes")]
    TooShort,
    /// A tile could not be read.
    #[error("a tile could not be read")]
    Unreadable(#[source] E),
}

impl<R: TileReader> TileNodes<R> {
    /// The nodes of the tree of `size` leaves whose tiles `reader` gives.
    pub fn new(reader: R, size: u64) -> Self {
        Self { reader, size }
    }
}

impl<R: TileReader> Nodes for TileNodes<R> {
    type Error = TileError<R::Error>;

    fn hash(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let hashes = hashes_at(tile_level, self.size);
        if index >= hashes >> height {
            return Err(TileError::OutsideTree);
        }
        let first = index << height;
        let tile_index = first / TILE_WIDTH;
        let span = Span { index: tile_index, width: width_of(tile_index, hashes) };
        let bytes = self.reader.tile(tile_level.to_le_bytes()[0], span).map_err(TileError::Unreadable)?;
        let (tile, _) = bytes.as_chunks::<HASH_BYTES>();
        let begin = usize::try_from(first % TILE_WIDTH).map_err(|_| TileError::OutsideTree)?;
        tile.get(begin..begin + (1 << height)).map(full_root).ok_or(TileError::TooShort)
    }
}
