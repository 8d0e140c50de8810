//! Too few open files: a command may fail, and condemns no index and no pack.

use super::program::Place;

#[test]
fn no_shortage_of_descriptors_costs_an_index() {
    let place = Place::new();
    place.file("tool/tool", &[7; 200_000]);
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    let said = place.shell(
        "n=72
        while [ $n -ge 12 ]; do
            (ulimit -n $n; PERENNIAL_DATA=data perennial ls; PERENNIAL_DATA=data perennial pins) \
                > /dev/null 2> log || true
            if grep -q -e 'rebuilding' -e 'panicked' log; then echo \"with $n: $(cat log)\"; fi
            n=$((n - 3))
        done",
    );
    assert_eq!(said.stdout, "", "{said:?}");
    assert!(!place.path("data/index.bad").exists(), "an index was condemned");
    assert_eq!(place.rows(&["ls"]).len(), 1);
    assert_eq!(place.run(&["verify"]).code, Some(0));
}
