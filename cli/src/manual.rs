//! Manual pages, made from the definition of the commands: what every page says, whether of
//! `perennial`, of a subcommand, or of `perennial-node`.

use std::collections::BTreeMap;
use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::failure::EXIT_CODES;

/// Variables that no option stands for.
const VARIABLES: [(&str, &str); 6] = [
    ("HOME, XDG_DATA_HOME", "Where the data directory is, unless an option says so"),
    ("XDG_STATE_HOME", "Where keys are kept for a data directory whose file system has no modes"),
    ("XDG_RUNTIME_DIR", "Where the control socket is if the data directory cannot hold it"),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "Proxies for reaching upstreams"),
    ("NETRC", "A file of passwords for URLs, instead of ~/.netrc"),
    ("NO_COLOR", "Set to anything, it keeps colours out of logs and errors"),
];

/// Files that users meet.
const FILES: [(&str, &str); 8] = [
    ("~/.local/share/perennial/", "The default data directory. `--data` gives another"),
    ("DATA/keys/publisher.key", "The key that signs your releases. Keep a copy of it"),
    ("DATA/keys/node.key", "The key of this node's peer id"),
    ("DATA/control.sock", "The socket through which commands ask the node"),
    ("/etc/perennial.toml", "A usual place for the settings of a node (`--config`)"),
    (
        "~/.docker/config.json, $XDG_RUNTIME_DIR/containers/auth.json",
        "Credentials for registries, as docker and podman keep them",
    ),
    (
        "/etc/containers/certs.d/HOST:PORT/, /etc/docker/certs.d/HOST:PORT/",
        "Certificates for a registry: `*.crt` to trust, `*.cert` and `*.key` to show. \
         Yours in ~/.config/containers/certs.d come first",
    ),
    ("~/.netrc", "Passwords for URLs, by host"),
];

/// The page of a built command.
pub(crate) fn page(command: &Command) -> io::Result<Vec<u8>> {
    let examples = examples(command);
    let man = Man::new(command.clone()).manual("Perennial");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    rest.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples.lines() {
        rest.text([roman(line)]);
    }
    rest.control("fi", []);
    rest.control("SH", ["ENVIRONMENT"]);
    list(&mut rest, &variables(command));
    rest.control("SH", ["FILES"]);
    list(&mut rest, &FILES.map(|(name, text)| (name.to_owned(), text.to_owned())));
    rest.control("SH", ["EXIT STATUS"]);
    list(&mut rest, &EXIT_CODES.map(|(code, text)| (code.to_string(), text.to_owned())));
    rest.control("SH", ["SEE ALSO"]);
    rest.text([bold("perennial"), roman("(1), "), bold("perennial-node"), roman("(1)")]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// The line of usage, as `--help` has it.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    match usage.strip_prefix(name) {
        Some(rest) => roff.text([bold(name), roman(rest)]),
        None => roff.text([roman(usage)]),
    };
    roff
}

/// The lines below `Examples:`.
fn examples(command: &Command) -> String {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  ")).map(str::trim_start);
    lines.collect::<Vec<_>>().join("\n")
}

/// The variables of the options, and those that no option stands for.
fn variables(command: &Command) -> Vec<(String, String)> {
    let of_options = command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?.to_owned();
        Some((variable, format!("The same as --{}", argument.get_long()?)))
    });
    let mut all: Vec<_> = of_options.collect::<BTreeMap<_, _>>().into_iter().collect();
    all.extend(VARIABLES.map(|(name, text)| (name.to_owned(), text.to_owned())));
    all
}

fn list(roff: &mut Roff, items: &[(String, String)]) {
    for (name, text) in items {
        roff.control("TP", []).text([italic(name)]).text([roman(text)]);
    }
}
