//! The README's tour, run as it stands.

use super::program::Place;

/// The shell lines of the README between `<!-- name -->` and `<!-- end -->`.
fn block(name: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, from) = readme.split_once(&format!("<!-- {name} -->\n```sh\n")).expect("the block");
    from.split_once("```\n<!-- end -->").expect("its end").0.to_owned()
}

#[test]
fn the_tour_ends_with_every_byte_in_place() {
    let place = Place::new();
    let toured = place.shell(&block("tour"));
    assert_eq!(toured.code, Some(0), "{toured:?}");
    assert!(toured.stdout.ends_with("nothing was lost\n"), "{toured:?}");
}
