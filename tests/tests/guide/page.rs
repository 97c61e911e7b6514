//! Pages of the guide: their blocks of commands, and what these should say.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Folders of the pages that stand elsewhere in a test.
const ROOTS: [&str; 3] = ["/var/tmp", "/data", "/archive"];

/// Commands of a page.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) line: usize,
    pub(crate) commands: String,
    pub(crate) is_untested: bool,
    /// The exit code that the page tells.
    pub(crate) exit: i32,
    /// Lines that the page shows below.
    pub(crate) expected: Vec<String>,
}

/// The blocks of a page in order.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let inner: Vec<_> =
            lines.by_ref().map(|(_, line)| line.to_owned()).take_while(|line| line != "```").collect();
        match kind.split_once(' ').unwrap_or((kind, "")) {
            ("sh", how) => blocks.push(Block {
                line: at + 1,
                commands: inner.join("\n"),
                is_untested: how == "no-test",
                exit: exit_code(how).with_context(|| format!("line {}: `{kind}`", at + 1))?,
                expected: Vec::new(),
            }),
            ("text", "") => {
                let last = blocks.last_mut().context("what a page shows follows commands")?;
                last.expected.extend(inner);
            }
            _ => bail!("line {}: a block is `sh`, `sh exit=N`, `sh no-test` or `text`", at + 1),
        }
    }
    Ok(blocks)
}

fn exit_code(how: &str) -> Result<i32> {
    match how {
        "" | "no-test" => Ok(0),
        how => Ok(how.strip_prefix("exit=").context("an exit code")?.parse()?),
    }
}

/// Commands with the page's folders below `root`.
pub(crate) fn rooted(commands: &str, root: &Path) -> String {
    ROOTS.iter().fold(commands.to_owned(), |text, folder| {
        text.replace(&format!("{folder}/"), &format!("{}{folder}/", root.display()))
    })
}

/// Output with the page's folders at `/`.
pub(crate) fn unrooted(output: &str, root: &Path) -> String {
    output.replace(&root.display().to_string(), "")
}

/// The first expected line that does not come, in order, in an output. How wide columns are does not count: the
/// paths of a test are longer.
pub(crate) fn missing_line<'e>(output: &str, expected: &'e [String]) -> Option<&'e str> {
    let plain = |line: &str| line.replace('─', "").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut said = output.lines().map(plain);
    let mut may_skip = true;
    for line in expected {
        if line.trim() == "…" {
            may_skip = true;
            continue;
        }
        let wanted = plain(line);
        let found = if may_skip { said.any(|line| line == wanted) } else { said.next() == Some(wanted) };
        if !found {
            return Some(line);
        }
        may_skip = false;
    }
    None
}

#[test]
fn pages_are_read_as_they_are_written() {
    let page = "# T\n```sh\na\nb\n```\n```text\nx\n```\n```sh exit=3\nc\n```\n```sh no-test\nd\n```\n";
    let found = blocks(page).expect("blocks");
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].commands.as_str(), &*found[0].expected), ("a\nb", &["x".to_owned()][..]));
    assert_eq!((found[1].exit, found[2].is_untested), (3, true));
    assert!(blocks("```bash\n```\n").is_err());
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(missing_line("a\nb   1\nc\nd", &lines("b 1\n…\nd")), None);
    assert_eq!(missing_line("a\nb\nc", &lines("a\nc")), Some("c"));
    assert_eq!(missing_line("a", &lines("b")), Some("b"));
}
