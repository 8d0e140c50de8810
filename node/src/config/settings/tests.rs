//! Settings of a file and of flags: merging, checking, and the sample for operators.

use std::path::Path;
use std::time::Duration;

use super::{ByteCount, DEFAULT_ADDRESS, Home, HttpSetting, Settings};

fn home() -> Home {
    Home { home: Some("/h".into()), ..Home::default() }
}

#[test]
fn flags_win_over_the_file() {
    let file: Settings = toml::from_str(
        "data = '/f'\npeer = ['/ip4/127.0.0.1/tcp/1']\nlisten = ['/ip4/127.0.0.1/tcp/2']\n\
        upload = '2MiB'\nhttp = 'off'",
    )
    .unwrap();
    let flags = Settings {
        peer: vec!["/ip4/127.0.0.1/tcp/9".to_owned()],
        upload: Some("5MiB".parse().unwrap()),
        ..Settings::default()
    };
    let config = flags.over(file).into_config(&Home::default()).unwrap();
    assert_eq!(config.data, Path::new("/f"));
    assert_eq!(config.peers, ["/ip4/127.0.0.1/tcp/9"]);
    assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/2"]);
    assert_eq!((config.upload, config.http), (Some("5MiB".parse().unwrap()), None));
}

#[test]
fn the_sample_for_operators_is_valid() {
    let guide = include_str!("../../../README.md");
    let (_, sample) = guide.split_once("<!-- settings -->\n```toml\n").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    let settings: Settings = toml::from_str(sample).unwrap();
    let config = settings.into_config(&home()).unwrap();
    assert!(!config.create && config.grace == Duration::from_secs(14 * 24 * 3600));
}

#[test]
fn http_is_served_unless_it_is_off() {
    let http = |http| Settings { http, ..Settings::default() }.into_config(&home()).unwrap().http;
    let default = http(None).unwrap();
    assert_eq!((default.address, default.if_free), (DEFAULT_ADDRESS, true));
    assert!(!http(Some("127.0.0.1:0".parse().unwrap())).unwrap().if_free);
    assert_eq!(http(Some(HttpSetting::Off)), None);
}

#[test]
fn http_names_are_read_and_malformed_ones_are_refused() {
    let file: Settings =
        toml::from_str("http-host = ['archive.example', 'https://b.example']").unwrap();
    let config = Settings::default().over(file.clone()).into_config(&home()).unwrap();
    assert_eq!(
        config.http.unwrap().names,
        ["archive.example", "https://b.example"].map(|n| n.parse().unwrap())
    );
    let flags = Settings { http_host: vec!["archive.example:4480".into()], ..Settings::default() };
    let refused = flags.over(file).into_config(&home()).unwrap_err().to_string();
    assert!(
        refused.contains("archive.example:4480") && refused.contains("without a port"),
        "{refused}"
    );
}

#[test]
fn addresses_of_peers_are_checked_wherever_they_stand() {
    for wrong in ["nonsense", "http://archive.example:4407", "/ip4/127.0.0.1"] {
        let file: Settings = toml::from_str(&format!("peer = ['{wrong}']")).unwrap();
        let flags = Settings { peer: vec![wrong.into()], ..Settings::default() };
        for settings in [file, flags] {
            let refused = settings.into_config(&home()).unwrap_err().to_string();
            assert!(refused.contains("--peer") && refused.contains(wrong), "{refused}");
        }
    }
    let right = Settings { peer: vec!["archive.example:4407".into()], ..Settings::default() };
    assert_eq!(right.into_config(&home()).unwrap().peers, ["archive.example:4407"]);
}

#[test]
fn a_setting_is_named_by_the_place_that_gave_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    let refused = |text: &str, flags: Settings| {
        std::fs::write(&path, text).unwrap();
        let settings = flags.over(Settings::read(&path).unwrap());
        settings.into_config(&home()).unwrap_err().to_string()
    };
    let file = path.display();
    for (text, key) in [
        ("peer = ['x']", "peer"),
        ("follow = ['x']", "follow"),
        ("listen = ['x']", "listen"),
        ("external = ['x']", "external"),
        ("upload = 1", "upload"),
        ("http-host = ['a b']", "http-host"),
        ("tls-key = 'x'", "tls-key"),
    ] {
        let said = refused(text, Settings::default());
        assert!(said.starts_with(&format!("{file}: {key}: ")), "{said}");
    }
    // The command line wins, so the file is not to blame.
    let flags = Settings { max_peers: Some(0), ..Settings::default() };
    assert!(refused("max-peers = 0", flags).starts_with("--max-peers: "));
    let flags = Settings { http: Some(HttpSetting::Off), ..Settings::default() };
    let mixed = refused("fetch-budget = 1", flags);
    assert!(mixed.starts_with(&format!("{file}: fetch-budget: ")), "{mixed}");
    assert!(mixed.contains("(--http)"), "{mixed}");
}

#[test]
fn an_unknown_field_is_refused() {
    assert!(toml::from_str::<Settings>("lissten = ['x']").is_err());
    assert!(toml::from_str::<Settings>("upload = 0").is_err());
    assert!(toml::from_str::<Settings>("upload = 'many'").is_err());
    assert!("99999999999GiB".parse::<ByteCount>().is_err());
    assert!(toml::from_str::<Settings>("http = 'localhost'").is_err());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (text, names) in [
        ("upload = 1", "--upload"),
        ("quota = '16MiB'", "--quota"),
        ("max-peers = 0", "--max-peers"),
        ("serve-streams = 0", "--serve-streams"),
        ("stall-seconds = 0", "--stall-seconds"),
        ("log = 'bogus'", "--log"),
        ("log = 'info,perennial_node=loud'", "--log"),
        ("log = ''", "--log"),
        ("http = 'off'\ntoken-file = '/nonexistent'", "--token-file"),
        ("http = 'off'\nhttp-host = ['a.example']", "--http-host"),
        ("tls-cert = 'a.pem'", "--tls-cert"),
        ("data = '~other/arch'", "~other/arch"),
    ] {
        let settings: Settings = toml::from_str(text).unwrap();
        let refused = settings.into_config(&home()).unwrap_err().to_string();
        assert!(refused.contains(names), "{text}: {refused}");
    }
    for fine in ["log = 'INFO,perennial_node=debug,[span]=off'", "upload = '16KiB'"] {
        toml::from_str::<Settings>(fine).unwrap().into_config(&home()).unwrap();
    }
    let quota: Settings = toml::from_str("quota = '2TiB'").unwrap();
    let config = quota.into_config(&home()).unwrap();
    assert_eq!(config.quota.map(ByteCount::get), Some(2 << 40));
}

#[test]
fn a_tilde_is_the_home_directory() {
    let settings: Settings = toml::from_str("data = '~/arch'\ntoken-file = '~/token'").unwrap();
    let config = settings.clone().into_config(&home()).unwrap();
    assert_eq!(config.data, Path::new("/h/arch"));
    assert_eq!(config.http.unwrap().token_file, Some("/h/token".into()));
    assert!(settings.into_config(&Home::default()).is_err(), "there is no home");
}
