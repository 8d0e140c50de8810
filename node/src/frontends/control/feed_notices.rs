//! What the owner of a node should know of a feed, in `status`.

use perennial_manifest::{FeedState, PublisherId};
use perennial_store::Follows;

pub(super) fn of(
    id: &PublisherId,
    feed: &FeedState,
    follows: &Follows,
    own: &PublisherId,
) -> Vec<String> {
    let mut notices = Vec::new();
    if let Some(next) = follows.successor_of(id).filter(|next| *next != own) {
        notices.push(format!(
            "{id} handed its feed over to {next}, which is followed since: make sure that its \
             owner says so, too"
        ));
    }
    if follows.names(id) {
        let others = feed.disputed().filter(|next| !follows.names(next));
        notices.extend(others.map(|next| {
            format!(
                "{id} signed that {next} takes over, in a history that is not the only one of its \
                 key: that decides nothing. Ask its owner; `perennial follow {next}` follows it \
                 all the same"
            )
        }));
    }
    if feed.is_forked() {
        notices.push(format!(
            "two histories were signed with the key of {id}; its tags are frozen until they are \
             merged"
        ));
    }
    notices
}
