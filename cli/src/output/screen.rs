//! What an answer and the talk beside it go to: a terminal of some width, or a file or pipe.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use clap::ValueEnum;

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// In files and pipes too.
    Always,
    /// Not at all.
    Never,
}

/// How a stream is looked at. The default is a file: nobody looks, nothing is cut or coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns of the terminal; `None` for a file or a pipe.
    pub(crate) width: Option<usize>,
    pub(crate) is_colored: bool,
}

/// Terminals that say nothing of their width, or something absurd.
const WIDTH_DEFAULT: usize = 80;
const WIDTH_MIN: usize = 20;
const ROWS_DEFAULT: usize = 24;

static SCREENS: OnceLock<(Screen, Screen)> = OnceLock::new();

/// Looks at standard output and standard error, once, before anything is written.
pub(crate) fn look(color: Color) {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let of = |stream: &dyn Stream| {
        let width = stream.is_shown().then(|| width(stream));
        Screen { width, is_colored: is_colored(color, is_unwanted, width.is_some()) }
    };
    // Whoever looked first has seen the same.
    let _ = SCREENS.set((of(&io::stdout()), of(&io::stderr())));
}

/// Where answers go.
pub(crate) fn answer_screen() -> Screen {
    SCREENS.get().copied().unwrap_or_default().0
}

/// Lines of the terminal that shows answers, now; `None` for a file or a pipe.
pub(crate) fn answer_rows() -> Option<usize> {
    answer_screen().width?;
    let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    Some(if rows == 0 { ROWS_DEFAULT } else { rows })
}

/// Where talk goes.
pub(crate) fn talk_screen() -> Screen {
    SCREENS.get().copied().unwrap_or_default().1
}

/// Columns of the terminal that shows talk, now: it may have been resized.
pub(crate) fn talk_width() -> usize {
    width(&io::stderr())
}

fn is_colored(color: Color, is_unwanted: bool, is_terminal: bool) -> bool {
    match color {
        Color::Auto => is_terminal && !is_unwanted,
        Color::Always => true,
        Color::Never => false,
    }
}

trait Stream: AsFd {
    fn is_shown(&self) -> bool;
}

impl<T: AsFd + IsTerminal> Stream for T {
    fn is_shown(&self) -> bool {
        self.is_terminal()
    }
}

fn width(stream: &dyn Stream) -> usize {
    let width = rustix::termios::tcgetwinsize(stream.as_fd()).map_or(0, |size| usize::from(size.ws_col));
    if width == 0 { WIDTH_DEFAULT } else { width.max(WIDTH_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        for (color, is_unwanted, is_terminal, expected) in [
            (Color::Auto, false, true, true),
            (Color::Auto, false, false, false),
            (Color::Auto, true, true, false),
            (Color::Always, true, false, true),
            (Color::Never, false, true, false),
        ] {
            assert_eq!(is_colored(color, is_unwanted, is_terminal), expected, "{color:?}");
        }
    }
}
