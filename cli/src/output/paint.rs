//! The few colours there are.

use super::screen::Screen;

pub(crate) fn bold(screen: Screen, text: &str) -> String {
    painted(screen, "1", text)
}

pub(crate) fn dim(screen: Screen, text: &str) -> String {
    painted(screen, "2", text)
}

/// A line of talk: what it is about, in the colour of its weight.
pub(super) fn talk(screen: Screen, text: &str) -> String {
    const WEIGHTS: [(&str, &str); 3] = [("error:", "1;31"), ("warning:", "1;33"), ("note:", "1")];
    for (weight, code) in WEIGHTS {
        if let Some(rest) = text.strip_prefix(weight) {
            return painted(screen, code, weight) + rest;
        }
    }
    text.to_owned()
}

fn painted(screen: Screen, code: &str, text: &str) -> String {
    if screen.is_colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_coloured_screen_gets_colours() {
        let colored = Screen { width: None, is_colored: true };
        assert_eq!(talk(colored, "error: no"), "\x1b[1;31merror:\x1b[0m no");
        assert_eq!(talk(Screen::default(), "error: no"), "error: no");
        assert_eq!(talk(colored, "3 rows"), "3 rows");
        assert_eq!(bold(Screen::default(), "x"), "x");
    }
}
