//! Turns of exchanges: peers that say nothing keep nobody waiting for long.

use perennial_manifest::Keypair;

use crate::effect::Effect;
use crate::fake_catalog::FakeCatalog;
use crate::input::{Follows, Input};
use crate::message::Request;
use crate::node::{Config, Node};
use crate::peer::PeerId;
use crate::places::Standing;
use crate::prefix::Prefix;
use crate::sync::EXCHANGES;
use crate::sync::exchange::QUIET;
use crate::sync::set::Sealed;
use crate::time::Time;

struct Scene {
    node: Node,
    catalog: FakeCatalog,
    now: Time,
    /// Reconciliations that were begun, in order.
    begun: Vec<PeerId>,
    earned: Vec<(PeerId, Standing)>,
    wake: Option<Time>,
}

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

impl Scene {
    /// A node that follows one publisher.
    fn new() -> Self {
        let config = Config { me: peer("me"), seed: 1, upload: None };
        let mut scene = Self {
            node: Node::new(config),
            catalog: FakeCatalog::default(),
            now: Time::ZERO,
            begun: Vec::new(),
            earned: Vec::new(),
            wake: None,
        };
        let key = Keypair::from_seed([5; 32]);
        scene.input(Input::Follows(Follows::Publishers([key.id()].into())));
        scene
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.node.handle(self.now, input, &self.catalog) {
                match effect {
                    Effect::Send { peer, request: Request::Reconcile { .. }, .. } => {
                        self.begun.push(peer);
                    }
                    Effect::Seal { scope } => {
                        let sealed = Some(Sealed::new(scope.clone(), &self.catalog));
                        inputs.push(Input::Sealed { scope, sealed });
                    }
                    Effect::Earned { peer, standing } => self.earned.push((peer, standing)),
                    Effect::WakeAt(at) => self.wake = Some(at),
                    _ => {}
                }
            }
        }
    }

    fn connect(&mut self, name: &str, prefix: u64) {
        self.input(Input::Connected { peer: peer(name), prefix: Prefix(prefix) });
    }

    fn begun(&self) -> Vec<&str> {
        self.begun.iter().map(PeerId::as_str).collect()
    }

    /// Lets time pass as the node asks for it; it may not ask for the same moment for ever.
    fn pass(&mut self, until: Time) {
        for _ in 0..1000 {
            let Some(at) = self.wake.take().filter(|at| *at <= until) else {
                self.now = until;
                return self.input(Input::Tick);
            };
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        panic!("the node wakes without end at {:?}", self.now);
    }
}

#[test]
fn silent_peers_give_their_turn_to_those_that_wait() {
    let mut scene = Scene::new();
    for (n, name) in ["a", "b", "c", "late"].into_iter().enumerate() {
        scene.connect(name, 1 + n as u64);
    }
    assert_eq!(scene.begun(), ["a", "b", "c"], "one place is kept");
    scene.pass(Time::ZERO + QUIET / 2);
    assert_eq!(scene.begun(), ["a", "b", "c"]);
    scene.pass(Time::ZERO + QUIET);
    assert_eq!(scene.begun(), ["a", "b", "c", "late"]);
    // With nobody waiting, an exchange has as long as its question.
    scene.connect("more", 9);
    scene.pass(Time::ZERO + QUIET + QUIET / 2);
    assert_eq!(scene.begun(), ["a", "b", "c", "late", "more"]);
}

#[test]
fn peers_of_one_network_have_a_part_of_the_turns() {
    let mut scene = Scene::new();
    for name in ["a", "b", "c", "d"] {
        scene.connect(name, 7);
    }
    assert_eq!(scene.begun(), ["a", "b"]);
    scene.connect("far", 8);
    assert_eq!(scene.begun(), ["a", "b", "far"]);
}

#[test]
fn a_chosen_peer_has_its_turn_at_once() {
    let mut scene = Scene::new();
    for n in 0..20 {
        scene.connect(&format!("s{n}"), 10 + n);
    }
    assert_eq!(scene.begun.len(), EXCHANGES - 1);
    scene.connect("mine", 7);
    scene.input(Input::Chosen { peer: peer("mine") });
    assert_eq!(scene.begun().last(), Some(&"mine"));
    assert_eq!(scene.earned, [(peer("mine"), Standing::Chosen)]);
}

#[test]
fn all_have_their_turn_however_many_are_silent() {
    let mut scene = Scene::new();
    for n in 0..20 {
        scene.connect(&format!("s{n}"), 10 + n);
    }
    for n in 1..=14 {
        scene.pass(Time::ZERO + QUIET / 2 * n);
    }
    for n in 0..20 {
        assert!(scene.begun().contains(&format!("s{n}").as_str()), "{n}: {:?}", scene.begun());
    }
}
