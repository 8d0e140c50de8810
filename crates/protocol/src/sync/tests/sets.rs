//! Sets of entries are made beside the machine: for rounds of peers, and for its own exchanges.

use perennial_manifest::Keypair;

use super::feed;
use crate::answer::Question;
use crate::effect::Effect;
use crate::fake_catalog::FakeCatalog;
use crate::input::{Follows, Input, Token};
use crate::message::{Refusal, Request, Response, Scope};
use crate::node::{Config, Node};
use crate::prefix::Prefix;
use crate::sync::set::{self, Sealed};
use crate::time::Time;

/// The question among effects that answer a request; `None` if it is refused.
fn question(effects: Vec<Effect>) -> Option<Question> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Answer { question, .. } => Some(question),
        Effect::Respond { response, .. } => {
            assert_eq!(response, Response::Refused { reason: Refusal::Busy });
            None
        }
        _ => None,
    })
}

#[test]
fn rounds_of_peers_are_answered_beside_the_loop_and_charged_for_what_was_read() {
    let there = feed(&Keypair::from_seed([1; 32]), 50);
    let catalog = FakeCatalog { entries: there, ..FakeCatalog::default() };
    let mut node = Node::new(Config { me: "me".parse().unwrap(), seed: 1, upload: None });
    let from: crate::peer::PeerId = "peer".parse().unwrap();
    let mut input = |input: Input| node.handle(Time::ZERO, input, &catalog);
    input(Input::Connected { peer: from.clone(), prefix: Prefix(1) });
    let message = set::begin(Sealed::new(Scope::All, &FakeCatalog::default()).set());
    let request = Request::Reconcile { scope: Scope::All, message: message.unwrap() };
    let ask = |token: u64| Input::Request {
        from: from.clone(),
        token: Token(token),
        request: request.clone(),
    };
    let first = question(input(ask(0))).unwrap().answer(&catalog);
    assert!(matches!(first.response, Response::Reconcile { .. }));
    let sealed = first.sealed.unwrap();
    assert_eq!(sealed.entries(), 50);
    input(Input::Answered { token: Token(0), sealed: Some(sealed.clone()) });
    let second = question(input(ask(1))).unwrap().answer(&catalog);
    assert!(second.sealed.is_none(), "the set is at hand");
    assert_eq!(first.response, second.response);
    // Two more are granted, and wait, when the first of them turns out to be much work.
    for token in 2..5 {
        assert!(question(input(ask(token))).is_some());
    }
    assert!(question(input(ask(5))).is_none(), "four are under way");
    let much = sealed.pretending(1_000_000);
    assert!(question(input(Input::Answered { token: Token(1), sealed: Some(much) })).is_none());
    assert!(question(input(ask(6))).is_none(), "it owes");
}

#[test]
fn a_scope_is_read_once_for_all_exchanges_that_wait_for_it() {
    let key = Keypair::from_seed([1; 32]);
    let catalog = FakeCatalog { entries: feed(&key, 3), ..FakeCatalog::default() };
    let mut node = Node::new(Config { me: "me".parse().unwrap(), seed: 1, upload: None });
    node.handle(Time::ZERO, Input::Follows(Follows::All), &catalog);
    let connect = |node: &mut Node, name: &str| {
        let peer = name.parse().unwrap();
        node.handle(Time::ZERO, Input::Connected { peer, prefix: Prefix::default() }, &catalog)
    };
    let seals = |effects: &[Effect]| {
        effects.iter().filter(|effect| matches!(effect, Effect::Seal { .. })).count()
    };
    let asks = |effects: &[Effect]| {
        effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count()
    };
    assert_eq!(seals(&connect(&mut node, "a")), 1);
    assert_eq!(seals(&connect(&mut node, "b")), 0);
    node.handle(Time::ZERO, Input::Disconnected { peer: "a".parse().unwrap() }, &catalog);
    assert_eq!(seals(&connect(&mut node, "c")), 0);
    let sealed = Some(Sealed::new(Scope::All, &catalog));
    let read = |sealed| Input::Sealed { scope: Scope::All, sealed };
    assert_eq!(asks(&node.handle(Time::ZERO, read(sealed.clone()), &catalog)), 2);
    assert_eq!(asks(&node.handle(Time::ZERO, read(sealed), &catalog)), 0, "nobody waits");
    let effects = connect(&mut node, "d");
    assert_eq!((seals(&effects), asks(&effects)), (0, 1), "it is at hand");
}

#[test]
fn an_exchange_whose_entries_cannot_be_read_ends_early() {
    let catalog = FakeCatalog::default();
    let mut node = Node::new(Config { me: "me".parse().unwrap(), seed: 1, upload: None });
    node.handle(Time::ZERO, Input::Follows(Follows::All), &catalog);
    let peer = "a".parse().unwrap();
    node.handle(Time::ZERO, Input::Connected { peer, prefix: Prefix::default() }, &catalog);
    let failed = Input::Sealed { scope: Scope::All, sealed: None };
    let effects = node.handle(Time::ZERO, failed, &catalog);
    let ended = |effect: &Effect| matches!(effect, Effect::Synced { complete: false, .. });
    assert_eq!(effects.iter().filter(|effect| ended(effect)).count(), 1);
}
