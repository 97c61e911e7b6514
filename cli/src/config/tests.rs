//! What files say, and who beats them.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::args::Arguments;

struct Given {
    folder: tempfile::TempDir,
}

impl Given {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("c.toml"), text).expect("a file");
        Self { folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("c.toml").display().to_string()
    }

    /// What a role is told, or what is wrong.
    fn told(&self, role: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let file = self.file();
        let words = ["shardex", role, "--config", &file].into_iter().chain(flags.iter().copied());
        let arguments: Vec<OsString> = words.map(OsString::from).collect();
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let all = with_file(&Arguments::command(), &arguments, &environment);
        let all = all.map_err(|error| error.to_string())?;
        Ok(all[arguments.len()..].iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }
}

#[test]
fn a_key_is_said_as_the_option_of_its_name() {
    let given = Given::new(
        "listen = \"127.0.0.1:7601\"\nname = \"w1\"\nslots = 2\nsource = [\"a=/mnt/a\", \"b=/mnt/b\"]\nlog = \"info\"\n\
         coordinator = [\"http://127.0.0.1:7500\"]",
    );
    let mut told = given.told("worker", &[], &[]).expect("it is sound");
    told.sort();
    assert_eq!(
        told,
        [
            "--coordinator=http://127.0.0.1:7500",
            "--listen=127.0.0.1:7601",
            "--log=info",
            "--name=w1",
            "--slots=2",
            "--source=a=/mnt/a",
            "--source=b=/mnt/b",
        ]
    );
}

#[test]
fn flags_and_the_environment_beat_it() {
    let given = Given::new("slots = 2\ncoordinator = [\"http://127.0.0.1:7500\"]\nsource = [\"a=/mnt/a\"]");
    for flags in [&["--slots", "3"][..], &["--slots=3"]] {
        let told = given.told("worker", flags, &[]).expect("it is sound");
        assert!(!told.iter().any(|word| word.starts_with("--slots")), "{told:?}");
        assert_eq!(told.len(), 2);
    }
    let told = given.told("worker", &["--source", "b=/mnt/b"], &[("SHARDEX_COORDINATOR", "http://other")]);
    assert_eq!(told.expect("it is sound"), ["--slots=2"]);
}

#[test]
fn wrong_keys_and_values_are_named_with_their_file() {
    for (role, text, expected) in [
        ("worker", "slot = 2", "`slot` is no option of `shardex worker`; did you mean `slots`?"),
        ("worker", "zzzzzz = 2", "`zzzzzz` is no option of `shardex worker`: its keys are"),
        ("router", "slots = 2", "`slots` is no option of `shardex router`"),
        ("worker", "slots = \"2\"", "`slots` is a number, without quotes"),
        ("worker", "slots = true", "`slots` is a number, without quotes"),
        ("worker", "slots = 65", "`slots`: invalid value '65' for '--slots <N>': 65 is not in 1..=64"),
        ("worker", "slots = [1]", "`slots` is one value, and no list"),
        ("worker", "name = 1", "`name` is a text, in quotes"),
        ("worker", "source = [1]", "`source` is a text, in quotes"),
        ("worker", "config = \"x\"", "`config` is no option of a file"),
        ("coordinator", "recover-state = true", "`recover-state` is no option of a file"),
        ("coordinator", "partition = \"date:week\"", "`partition`: invalid value 'date:week' for"),
        ("coordinator", "[network]\nlisten = \"x\"", "`network` is no option of `shardex coordinator`"),
        ("coordinator", "color = \"pink\"", "`color`: invalid value 'pink' for '--color <WHEN>'"),
        ("coordinator", "listen = ", "TOML parse error at line 1"),
        ("coordinator", "listen = \"a\"\nlisten = \"b\"", "duplicate key"),
    ] {
        let given = Given::new(text);
        let error = given.told(role, &[], &[]).expect_err(text);
        assert!(error.contains(expected) && error.contains(&given.file()), "{text}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let arguments = ["shardex", "--log", "worker", "router", "--config=/nowhere/c.toml"].map(OsString::from);
    let error = with_file(&Arguments::command(), &arguments, &|_| None).expect_err("there is none");
    assert!(error.to_string().contains("--config /nowhere/c.toml: No such file"), "{error}");
}

#[test]
fn other_commands_take_no_file() {
    let arguments = ["shardex", "job", "submit", "worker", "--config=/nowhere/c.toml"].map(OsString::from);
    assert_eq!(with_file(&Arguments::command(), &arguments, &|_| None).expect("nothing is read"), arguments);
}

/// The examples of deploy/config: sound as they are, and with every line that is commented out.
#[test]
fn examples_are_sound_and_name_every_option() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config");
    for role in ROLES {
        let text = std::fs::read_to_string(folder.join(format!("{role}.toml"))).expect("an example");
        let keys_of = |text: &str| text.parse::<Table>().expect(role).keys().cloned().collect::<Vec<_>>();
        let given = Given::new(&text);
        let told = given.told(role, &[], &[]).expect("it is sound");
        let all = ["shardex", role].map(str::to_owned).into_iter().chain(told);
        let matches = Arguments::command().try_get_matches_from(all).expect("nothing else is required");
        Arguments::from_arg_matches(&matches).expect("it is complete");

        let is_option = |line: &str| {
            line.strip_prefix("# ")
                .and_then(|line| line.split_once(" = "))
                .is_some_and(|(key, _)| !key.contains(' '))
        };
        let lines = text.lines().map(|line| if is_option(line) { &line[2..] } else { line });
        let everything = lines.collect::<Vec<_>>().join("\n");
        Given::new(&everything).told(role, &[], &[]).unwrap_or_else(|error| panic!("{role}: {error}"));
        let mut keys = keys_of(&everything);
        keys.sort();
        let command = Arguments::command();
        let own = command.find_subcommand(role).expect("a role").get_arguments();
        let global = command.get_arguments().filter(|argument| argument.is_global_set());
        let options = own.chain(global).filter_map(Arg::get_long).map(str::to_owned);
        let mut options: Vec<_> = options.filter(|option| !ONLY_FLAGS.contains(&option.as_str())).collect();
        options.sort();
        assert_eq!(
            keys, options,
            "{role}: options that deploy/config/{role}.toml does not name, or the other way round"
        );
    }
}
