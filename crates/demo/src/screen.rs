//! The terminal: plain lines of at most 80 columns, and on a terminal a block that changes in place.

use std::io::{self, IsTerminal, Write};

/// Where the demonstration is shown.
pub(crate) struct Screen {
    live: bool,
    /// Lines of the block that is drawn in place.
    drawn: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { live: io::stdout().is_terminal(), drawn: 0 }
    }

    /// A line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.drawn = 0;
        let mut output = io::stdout().lock();
        writeln!(output, "{}", text.as_ref())?;
        output.flush()
    }

    /// A heading, after an empty line.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.line("")?;
        self.line(text)
    }

    /// Draws a block over the one before; without a terminal nothing, for the last state comes as lines.
    pub(crate) fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let mut output = io::stdout().lock();
        if self.drawn > 0 {
            write!(output, "\x1b[{}A", self.drawn)?;
        }
        for line in lines {
            writeln!(output, "\x1b[2K{line}")?;
        }
        self.drawn = lines.len();
        output.flush()
    }

    /// The last state of a block: drawn in place where it was live, else as lines.
    pub(crate) fn settle(&mut self, lines: &[String]) -> io::Result<()> {
        if self.live {
            self.redraw(lines)?;
            self.drawn = 0;
            return Ok(());
        }
        lines.iter().try_for_each(|line| self.line(line))
    }
}
