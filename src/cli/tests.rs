//! The command line as a whole: what it understands, and how it says no.

use clap::CommandFactory;

use super::*;

#[test]
fn every_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example() {
    let mut without = Vec::new();
    visit(&Cli::command(), "", &mut without);
    assert_eq!(without, Vec::<String>::new());
}

fn visit(command: &clap::Command, parents: &str, without: &mut Vec<String>) {
    let path = format!("{parents} {}", command.get_name()).trim_start().to_owned();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if !help.contains(&format!("Example:\n  {path} ")) {
        without.push(path.clone());
    }
    for child in command.get_subcommands() {
        visit(child, &path, without);
    }
}

#[test]
fn every_example_is_understood() {
    let mut examples = Vec::new();
    collect(&Cli::command(), &mut examples);
    assert!(examples.len() > 10, "{examples:?}");
    for example in examples {
        let parsed = Cli::try_parse_from(example.split_whitespace());
        assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
    }
}

fn collect(command: &clap::Command, examples: &mut Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    examples.extend(help.lines().skip(1).map(|line| line.trim().to_owned()));
    for child in command.get_subcommands() {
        collect(child, examples);
    }
}

#[test]
fn misuse_has_exit_code_2_and_help_has_0() {
    for (line, code) in [
        ("hoplog", 2),
        ("hoplog nonsense", 2),
        ("hoplog link create", 2),
        ("hoplog link show a --server nonsense", 2),
        ("hoplog link create u --expires-in 1d --expires-at 2030-01-01T00:00:00Z", 2),
        ("hoplog --help", 0),
        ("hoplog --version", 0),
        ("hoplog link create --help", 0),
    ] {
        let error = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(error.exit_code(), code, "{line}");
    }
}

#[test]
fn a_server_that_is_not_there_is_a_failure_that_names_it() {
    // A port that was free a moment ago: nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cli = Cli::try_parse_from(["hoplog", "link", "list", "--server", &url]).unwrap();
    let error = run(cli.command, &mut Vec::new()).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.report().starts_with(&format!("error: {url} can't be reached: ")), "{error}");
}
