//! Reading server-sent events (WHATWG HTML, section 9.2.6), bounded: no server can make us keep more than
//! one event of [`MAX_EVENT_BYTES`].

/// The longest event, and the longest line.
pub(crate) const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// An event or a line is longer than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is too long")]
pub struct TooLong;

/// Splits a stream of bytes into the data of its events. Names, ids and retry times of events mean nothing
/// in the dialect and are passed over, as are comments.
#[derive(Default)]
pub struct SseReader {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    begun: bool,
}

impl SseReader {
    /// Takes the next bytes and gives the data of every event that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                // The line ended with the carriage return already.
                b'\n' if after_cr => {}
                b'\r' | b'\n' => events.extend(self.end_line()?),
                _ if self.line.len() >= MAX_EVENT_BYTES => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The data of an event that the stream's end cut off. The standard drops it; servers that end without
    /// an empty line mean it.
    pub fn finish(mut self) -> Result<Option<Vec<u8>>, TooLong> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.has_data.then_some(self.data))
    }

    fn end_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            let complete = std::mem::take(&mut self.has_data);
            return Ok(complete.then(|| std::mem::take(&mut self.data)));
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if self.data.len() + value.len() >= MAX_EVENT_BYTES {
                return Err(TooLong);
            }
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EVENT_BYTES, SseReader, TooLong};
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut events: Vec<_> = pieces.iter().flat_map(|piece| reader.feed(piece).unwrap()).collect();
        events.extend(reader.finish().unwrap());
        events.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn the_forms_of_the_standard_are_read() {
        for (text, expected) in [
            ("data: a\n\ndata:b\n\n", vec!["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", vec!["a", "b", "c"]),
            (": ping\n\n:\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", vec!["a"]),
            ("data: a\ndata: b\n\n", vec!["a\nb"]),
            ("data\n\n", vec![""]),
            ("data:  a\n\n", vec![" a"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("event: x\n\ndata: a", vec!["a"]),
            ("database: a\n\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_endless_is_kept() {
        let mut reader = SseReader::default();
        let line = vec![b'x'; MAX_EVENT_BYTES];
        assert_eq!(reader.feed(&line), Ok(vec![]));
        assert_eq!(reader.feed(b"x"), Err(TooLong));
        let mut reader = SseReader::default();
        let mut outcome = Ok(vec![]);
        for _ in 0..=MAX_EVENT_BYTES / 1000 {
            outcome = reader.feed(format!("data: {}\n", "x".repeat(1000)).as_bytes());
        }
        assert_eq!(outcome, Err(TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fall_over(bytes: Vec<u8>) {
            let mut reader = SseReader::default();
            prop_assert!(reader.feed(&bytes).is_ok() && reader.finish().is_ok());
        }

        #[test]
        fn where_the_stream_is_cut_into_pieces_does_not_matter(
            lines in proptest::collection::vec(prop_oneof!["data: ?[a-z]{0,5}", ":[a-z]{0,3}", Just(String::new())], 0..12),
            end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
            size in 1usize..9,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(&pieces), read(&[text.as_bytes()]));
        }
    }
}
