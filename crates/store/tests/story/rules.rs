//! The rules of projects.

use echosphere_domain::rule::Rule;

use crate::work::other;
use crate::world::{World, mine};

on_each! {
    a_project_has_a_list_of_rules_in_their_order,
}

fn exclude(rooms: &str) -> Rule {
    Rule::ExcludeRooms { rooms: rooms.to_owned() }
}

async fn a_project_has_a_list_of_rules_in_their_order(world: World) {
    let store = &world.store;
    assert!(store.project_rules(&mine()).await.unwrap().is_empty());
    let auto = Rule::AutoRecord { rooms: "*".to_owned(), agents: true, percent: 20 };
    let all: Vec<Rule> = (0..12).map(|n| exclude(&format!("room-{n}"))).chain([auto]).collect();
    store.set_project_rules(&mine(), &all).await.unwrap();
    store.set_project_rules(&other(), &[exclude("theirs")]).await.unwrap();
    assert_eq!(store.project_rules(&mine()).await.unwrap(), all);
    store.set_project_rules(&mine(), &all[3..5]).await.unwrap();
    assert_eq!(store.project_rules(&mine()).await.unwrap(), all[3..5], "they are replaced");
    assert_eq!(store.project_rules(&other()).await.unwrap(), [exclude("theirs")]);
    store.set_project_rules(&mine(), &[]).await.unwrap();
    assert!(store.project_rules(&mine()).await.unwrap().is_empty());
}
