//! Help, manual pages and completions agree, because they are generated from one definition.

use std::fmt::Write;
use std::path::Path;

use super::program::Place;

pub(crate) const COMMANDS: [&str; 28] = [
    "add",
    "get",
    "ls",
    "show",
    "search",
    "follow",
    "trust",
    "unfollow",
    "follows",
    "forget",
    "pin",
    "unpin",
    "pins",
    "deny",
    "undeny",
    "denied",
    "serve",
    "status",
    "peers",
    "key",
    "verify",
    "gc",
    "relocate",
    "rebuild-index",
    "drill",
    "completions",
    "man",
    "version",
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
fn manual_pages_are_written_for_every_command_and_for_the_node() {
    let place = Place::new();
    let said = place.run(&["man", "--out", "man1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let pages = COMMANDS.map(|command| format!("perennial-{command}"));
    for name in pages.iter().map(String::as_str).chain(["perennial", "perennial-node"]) {
        let path = place.path(&format!("man1/{name}.1"));
        let page = std::fs::read_to_string(&path).unwrap();
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "ENVIRONMENT", "FILES"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{name}: {section}\n{page}");
        }
        assert!(page.contains(".SH \"EXIT STATUS\"\n"), "{name}:\n{page}");
        assert!(page.contains("PERENNIAL_DATA") && page.contains("130"), "{name}:\n{page}");
        assert!(!page.contains("[\\fB\\-\\-data\\fR]"), "a value is missing in {name}");
        shown(&path);
    }
    let said = place.run(&["man"]);
    let main = std::fs::read_to_string(place.path("man1/perennial.1")).unwrap();
    assert_eq!((said.code, said.stdout), (Some(0), main));
}

/// Has groff show a page, where it is there: it warns of nothing, and examples keep their lines.
fn shown(page: &Path) {
    let groff = std::process::Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-P-cbou"])
        .env("LC_ALL", "C.UTF-8")
        .arg("-Kutf8")
        .arg(page)
        .output();
    let Ok(output) = groff else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warnings.is_empty(), "{page:?}: {warnings}");
    let examples = text.split("EXAMPLES").nth(1).unwrap_or_default();
    let first = examples.lines().nth(1).unwrap_or_default();
    assert!(first.trim_start().starts_with("perennial"), "{page:?}: {examples}");
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
    for shell in ["bash", "zsh", "fish"] {
        let said = place.run(&["completions", shell, "--program", "perennial-node"]);
        assert_eq!(said.code, Some(0));
        let known = said.stdout.contains("perennial-node") && said.stdout.contains("token-file");
        assert!(known, "{shell}: {}", said.stdout);
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
