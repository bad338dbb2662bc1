//! Streams of every awkward length, and everything that could be done to one.

use super::{
    CHUNK_LENGTH, ClaimedStream, MAX_HEADER_LENGTH, SEALED_CHUNK_LENGTH, SealingStream, StreamError,
};
use crate::derivation::Purpose;
use env::{Env, Timestamp};
use proptest::prelude::*;
use secret::SecretBytes;
use std::io::{self, Read, Write};

const BACKUP: Purpose = Purpose::new("backup");
const HEADER: &[u8] = b"{\"tenant\":\"ten_A\"}";
const BEFORE_CHUNKS: usize = 8 + 32 + 4 + HEADER.len();

fn key(seed: u8) -> SecretBytes<32> {
    SecretBytes::fill_with(|bytes| bytes.fill(seed))
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

fn seal(seed: u64, content: &[u8]) -> Vec<u8> {
    let (env, _) = Env::fixed(Timestamp::from_millis(0), seed);
    let mut stream = SealingStream::begin(Vec::new(), &env, &key(1), &BACKUP, HEADER).unwrap();
    stream.write_all(content).unwrap();
    stream.finish().unwrap()
}

fn open(sealed: &[u8], key: &SecretBytes<32>, purpose: &Purpose) -> Result<Vec<u8>, io::Error> {
    let mut stream = ClaimedStream::read(sealed)?.open(key, purpose)?;
    assert_eq!(stream.header(), HEADER);
    let mut content = Vec::new();
    stream.read_to_end(&mut content)?;
    Ok(content)
}

fn is_refused(sealed: &[u8]) -> bool {
    match open(sealed, &key(1), &BACKUP) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            true
        }
    }
}

#[test]
fn content_of_any_length_comes_back() {
    for length in [0, 1, CHUNK_LENGTH - 1, CHUNK_LENGTH, CHUNK_LENGTH + 1, 2 * CHUNK_LENGTH, 200_000] {
        let content = content(length);
        let sealed = seal(1, &content);
        let chunks = length.div_ceil(CHUNK_LENGTH).max(1);
        assert_eq!(sealed.len(), BEFORE_CHUNKS + length + 16 * chunks);
        assert!(open(&sealed, &key(1), &BACKUP).unwrap() == content, "{length}");
    }
}

#[test]
fn the_header_can_be_read_before_the_key_is_known() {
    let sealed = seal(1, b"x");
    assert_eq!(ClaimedStream::read(&*sealed).unwrap().claimed_header(), HEADER);
}

#[test]
fn another_key_or_purpose_opens_nothing() {
    let sealed = seal(1, b"content");
    assert!(open(&sealed, &key(2), &BACKUP).is_err());
    assert!(open(&sealed, &key(1), &Purpose::new("export")).is_err());
}

#[test]
fn each_stream_has_a_key_of_its_own() {
    let (one, two) = (seal(1, b"content"), seal(2, b"content"));
    assert_ne!(one[BEFORE_CHUNKS..], two[BEFORE_CHUNKS..]);
    assert!(is_refused(&[&two[..BEFORE_CHUNKS], &one[BEFORE_CHUNKS..]].concat()));
}

#[test]
fn cutting_extending_and_reordering_are_noticed() {
    let sealed = seal(1, &content(2 * CHUNK_LENGTH + 100));
    let chunk = |number: usize| {
        let start = BEFORE_CHUNKS + number * SEALED_CHUNK_LENGTH;
        &sealed[start..sealed.len().min(start + SEALED_CHUNK_LENGTH)]
    };
    let beginning = &sealed[..BEFORE_CHUNKS];
    let (first, second, last) = (chunk(0), chunk(1), chunk(2));
    assert_eq!([beginning, first, second, last].concat(), sealed);
    for altered in [
        [beginning, first, second].concat(),
        [beginning, first].concat(),
        [beginning, last].concat(),
        beginning.to_vec(),
        [beginning, second, first, last].concat(),
        [beginning, first, second, second, last].concat(),
        [beginning, first, last].concat(),
        [beginning, first, second, last, b"x"].concat(),
        [beginning, first, second, last, last].concat(),
        [beginning, &sealed].concat(),
    ] {
        assert!(is_refused(&altered));
    }
}

#[test]
fn a_stream_that_was_not_finished_does_not_open() {
    let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
    let mut output = Vec::new();
    let mut stream = SealingStream::begin(&mut output, &env, &key(1), &BACKUP, HEADER).unwrap();
    stream.write_all(&content(3 * CHUNK_LENGTH)).unwrap();
    drop(stream);
    assert!(output.len() > 2 * CHUNK_LENGTH);
    assert!(is_refused(&output));
}

#[test]
fn a_failed_stream_stays_failed() {
    let mut sealed = seal(1, &content(2 * CHUNK_LENGTH));
    sealed[BEFORE_CHUNKS + SEALED_CHUNK_LENGTH] ^= 1;
    let mut stream = ClaimedStream::read(&*sealed).unwrap().open(&key(1), &BACKUP).unwrap();
    let mut first = vec![0; CHUNK_LENGTH];
    stream.read_exact(&mut first).unwrap();
    for _ in 0..3 {
        assert!(stream.read(&mut first).is_err());
    }
}

#[test]
fn a_header_that_is_too_long_is_refused_on_both_sides() {
    let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
    let header = vec![0; MAX_HEADER_LENGTH + 1];
    let result = SealingStream::begin(Vec::new(), &env, &key(1), &BACKUP, &header);
    assert!(matches!(result, Err(StreamError::HeaderTooLong)));
    let mut sealed = seal(1, b"x");
    sealed[40..44].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(ClaimedStream::read(&*sealed), Err(StreamError::UnknownFormat)));
}

/// Gives one byte at a time, as a slow pipe may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let length = output.len().min(1);
        self.0.read(&mut output[..length])
    }
}

#[test]
fn short_reads_change_nothing() {
    let content = content(CHUNK_LENGTH + 10);
    let sealed = seal(1, &content);
    let mut stream = ClaimedStream::read(Trickle(&sealed)).unwrap().open(&key(1), &BACKUP).unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    assert!(read == content);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_noticed(at in any::<proptest::sample::Index>(), bit in 0..8_u8) {
        let mut sealed = seal(1, &content(300));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(is_refused(&sealed), "byte {at}");
    }

    #[test]
    fn any_cut_is_noticed(at in any::<proptest::sample::Index>()) {
        let sealed = seal(1, &content(CHUNK_LENGTH + 50));
        prop_assert!(is_refused(&sealed[..at.index(sealed.len())]));
    }
}
