//! What nodes that share a log promise one another.

use super::Log;
use crate::agreement::Agreed;

/// The first proposal is everybody's until it is forgotten; another name is another matter. Needs
/// eight nodes of one log that several may write to.
pub async fn nodes_agree_until_that_is_forgotten(nodes: &[Log]) {
    let agree = async |n: u8, name: &str| {
        let agreements = nodes[usize::from(n)].agreements().unwrap();
        agreements.agree(name, Agreed([n; 32])).await.unwrap().0[0]
    };
    let agreed = futures::future::join_all((0..8).map(|n| agree(n, "one"))).await;
    assert!(agreed.iter().all(|n| *n == agreed[0]), "{agreed:?}");
    let (first, another) = (agreed[0], (agreed[0] + 1) % 8);
    assert_eq!(agree(another, "two").await, another);
    for _ in 0..2 {
        nodes[0].agreements().unwrap().forget("one").await.unwrap();
    }
    assert_eq!(agree(another, "one").await, another, "nobody has the old one");
    assert_eq!(agree(first, "two").await, another, "that one stays");
}
