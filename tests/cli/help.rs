//! Help, manual pages and completions agree, because they are generated from one definition.

use std::fmt::Write;
use std::path::Path;

use super::program::Place;

pub(crate) const COMMANDS: [&str; 21] = [
    "add",
    "get",
    "ls",
    "show",
    "search",
    "follow",
    "unfollow",
    "follows",
    "pin",
    "unpin",
    "pins",
    "serve",
    "status",
    "peers",
    "key",
    "verify",
    "gc",
    "rebuild-index",
    "drill",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_examples() {
    let place = Place::new();
    let root = place.run(&["--help"]);
    assert_eq!((root.code, root.stderr.as_str()), (Some(0), ""));
    for command in COMMANDS {
        assert!(
            root.stdout.contains(&format!("\n  {command} ")),
            "{command} is not listed:\n{}",
            root.stdout
        );
        let help = place.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.contains(&format!("Usage: perennial {command}")), "{}", help.stdout);
        let examples = help.stdout.split("Examples:").nth(1).unwrap_or_default();
        assert!(
            examples.contains(&format!("perennial {command}")) || examples.contains(command),
            "{command}"
        );
    }
    for line in root.stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

/// The reference file is reviewed by people. After an intended change, regenerate it:
/// `PERENNIAL_BLESS=1 cargo test --release -p perennial-tests cli::help`.
#[test]
fn the_reference_is_what_the_program_says() {
    let place = Place::new();
    let mut reference = String::new();
    for command in [None].into_iter().chain(COMMANDS.map(Some)) {
        let args: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let said = place.run(&args);
        write!(reference, "$ perennial {}\n{}\n", args.join(" "), said.stdout).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/reference.txt");
    if std::env::var_os("PERENNIAL_BLESS").is_some() {
        std::fs::write(&file, &reference).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert!(
        committed == reference,
        "tests/cli/reference.txt is out of date; see this test's comment"
    );
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let place = Place::new();
    let said = place.run(&["man", "--out", "man1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for command in COMMANDS {
        let page =
            std::fs::read_to_string(place.path(&format!("man1/perennial-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("Examples:"), "{command}:\n{page}");
    }
    let main = std::fs::read_to_string(place.path("man1/perennial.1")).unwrap();
    let said = place.run(&["man"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.contains("Exit codes") && main.contains("Exit codes"), "{main}");
}

#[test]
fn completions_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = place.run(&["completions", shell]);
        assert_eq!(said.code, Some(0));
        for command in COMMANDS {
            assert!(said.stdout.contains(command), "{shell} does not know {command}");
        }
    }
    if let Ok(bash) = std::process::Command::new("bash")
        .arg("-n")
        .arg({
            place.file("perennial.bash", place.run(&["completions", "bash"]).stdout.as_bytes());
            place.path("perennial.bash")
        })
        .status()
    {
        assert!(bash.success(), "bash does not take its completions");
    }
}
