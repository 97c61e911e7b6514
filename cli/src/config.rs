//! Files of options for the roles of a cluster: TOML whose keys are the long options without their hyphens.
//!
//! What a file says is put behind the command line before that is parsed, unless a flag or the environment says the
//! same option. So there is one list of options, one check of their values, and one place that knows defaults.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

/// Who takes `--config`.
const ROLES: [&str; 3] = ["coordinator", "worker", "router"];
/// What is said once, and not each time that a process starts.
const ONLY_FLAGS: [&str; 2] = ["config", "recover-state"];
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file that a command line names, if it is a role's.
pub(crate) fn file_of(arguments: &[OsString]) -> Option<PathBuf> {
    role_of(arguments)?;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(file) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    None
}

/// The command line with what its file says and neither it nor the environment does.
///
/// # Errors
/// Of kind [`ErrorKind::Io`], what is wrong with the file: its name, the key, and what to write.
pub(crate) fn with_file(
    command: &Command,
    arguments: &[OsString],
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, clap::Error> {
    let mut all = arguments.to_vec();
    let (Some(role), Some(file)) = (role_of(arguments), file_of(arguments)) else { return Ok(all) };
    let wrong =
        |what: String| clap::Error::raw(ErrorKind::Io, format!("--config {}: {what}\n", file.display()));
    let table = read(&file).map_err(wrong)?;
    for (key, value) in &table {
        let said = options_of(command, role, key, value).map_err(wrong)?;
        let variable = argument_of(command, role, key).and_then(Arg::get_env).and_then(OsStr::to_str);
        let is_in_environment = variable.is_some_and(|variable| environment(variable).is_some());
        if !is_in_environment && !is_flag_given(arguments, key) {
            all.extend(said);
        }
    }
    Ok(all)
}

/// The role that a command line runs: its first word, after global options and their values.
fn role_of(arguments: &[OsString]) -> Option<&'static str> {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        if word == "--log" || word == "--color" {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return ROLES.into_iter().find(|role| word == role);
        }
    }
    None
}

fn read(file: &Path) -> Result<Table, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

fn argument_of<'a>(command: &'a Command, role: &str, key: &str) -> Option<&'a Arg> {
    let own = command.find_subcommand(role)?.get_arguments();
    let global = command.get_arguments().filter(|argument| argument.is_global_set());
    own.chain(global).find(|argument| argument.get_long() == Some(key))
}

fn is_flag_given(arguments: &[OsString], key: &str) -> bool {
    arguments.iter().any(|argument| {
        let flag = argument.to_str().and_then(|argument| argument.strip_prefix("--"));
        flag.is_some_and(|flag| flag == key || flag.split_once('=').is_some_and(|(name, _)| name == key))
    })
}

/// A key's value as options of the command line, checked as these are.
fn options_of(command: &Command, role: &str, key: &str, value: &Value) -> Result<Vec<OsString>, String> {
    if ONLY_FLAGS.contains(&key) {
        return Err(format!("`{key}` is no option of a file: give it on the command line"));
    }
    let argument = argument_of(command, role, key).ok_or_else(|| unknown(command, role, key))?;
    let texts = texts(argument, value).map_err(|wanted| format!("`{key}` is {wanted}"))?;
    let options: Vec<OsString> = match argument.get_action() {
        ArgAction::SetTrue => texts.iter().map(|_| format!("--{key}").into()).collect(),
        _ => texts.iter().map(|text| format!("--{key}={text}").into()).collect(),
    };
    for option in &options {
        // Alone, so that it is this key that is wrong if anything is; what else is required is seen later.
        let alone = ["shardex".into(), role.into(), option.clone()];
        if let Err(error) = command.clone().try_get_matches_from(alone)
            && matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue)
        {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return Err(format!("`{key}`: {}", first.strip_prefix("error: ").unwrap_or(first)));
        }
    }
    Ok(options)
}

/// An unknown key, with the one that may have been meant.
fn unknown(command: &Command, role: &str, key: &str) -> String {
    let tried = command.clone().try_get_matches_from(["shardex", role, &format!("--{key}=")]);
    let suggested = tried.err().and_then(|error| match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(option)) => option.strip_prefix("--").map(str::to_owned),
        _ => None,
    });
    match suggested {
        Some(near) => format!("`{key}` is no option of `shardex {role}`; did you mean `{near}`?"),
        None => format!(
            "`{key}` is no option of `shardex {role}`: its keys are what `shardex {role} --help` lists"
        ),
    }
}

/// The texts of a key's value, one for each time that the option is to be said; else what is wanted.
fn texts(argument: &Arg, value: &Value) -> Result<Vec<String>, &'static str> {
    let takes_many =
        matches!(argument.get_action(), ArgAction::Append) || argument.get_value_delimiter().is_some();
    match (argument.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(is_said)) => Ok(is_said.then(String::new).into_iter().collect()),
        (ArgAction::SetTrue, _) => Err("true or false"),
        (_, Value::Array(values)) if takes_many => values.iter().map(|value| text(argument, value)).collect(),
        (_, Value::Array(_)) => Err("one value, and no list"),
        (_, value) => Ok(vec![text(argument, value)?]),
    }
}

fn text(argument: &Arg, value: &Value) -> Result<String, &'static str> {
    use std::any::TypeId;
    let parsed = argument.get_value_parser().type_id();
    let is_number =
        parsed == TypeId::of::<u16>() || parsed == TypeId::of::<u32>() || parsed == TypeId::of::<u64>();
    match (value, is_number) {
        (Value::Integer(number), true) => Ok(number.to_string()),
        (_, true) => Err("a number, without quotes"),
        (Value::String(text), false) => Ok(text.clone()),
        (_, false) => Err("a text, in quotes"),
    }
}

#[cfg(test)]
mod tests;
