//! Against a real Redis.

use std::time::{Duration, Instant};

use super::*;
use crate::redis_connection::redis_server::RedisServer;

const PATIENCE: Duration = Duration::from_secs(30);

async fn start() -> (RedisServer, Rankings, tokio::task::JoinHandle<()>) {
    let redis = RedisServer::start();
    let level2 = Arc::new(Level2::new(redis.url().parse().unwrap(), PATIENCE));
    let kept = Arc::clone(&level2);
    let keeper = tokio::spawn(async move { kept.keep_connected().await });
    let deadline = Instant::now() + PATIENCE;
    while level2.ping().await.is_err() {
        assert!(Instant::now() < deadline, "no connection");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (redis, Rankings::new(level2, "test:{1}:"), keeper)
}

fn set<'a>(name: &str, additions: &[(&'a str, i64, u64)]) -> SetAdditions<'a> {
    let addition = |(name, score, order): &(&'a str, i64, u64)| Addition {
        name,
        score: *score,
        order: *order,
    };
    let additions = additions.iter().map(addition).collect();
    SetAdditions { set: name.to_owned(), until_ms: None, additions }
}

fn shown(answer: Option<Answer>) -> (String, u64, Vec<(String, u64)>) {
    let answer = answer.expect("it can be believed");
    let members = answer.members.into_iter().map(|member| (member.name, member.score));
    (answer.at, answer.first, members.collect())
}

fn members(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect()
}

#[tokio::test]
async fn a_batch_is_added_once_and_ties_are_in_their_order() {
    let (_redis, rankings, keeper) = start().await;
    let one = [set("s", &[("a", 2, 5), ("b", 1, 9), ("c", 2, 7)]), set("t", &[("a", 1, 1)])];
    assert_eq!(rankings.add(["", "1"], &one).await, Ok(Added::Moved));
    assert_eq!(rankings.add(["", "1"], &one).await, Ok(Added::Elsewhere), "a repetition");
    assert_eq!(
        rankings.add(["0", "2"], &one).await,
        Ok(Added::Elsewhere),
        "a worker that lost its place"
    );
    let two = [set("s", &[("b", 1, 1), ("d", 1, u64::MAX)])];
    assert_eq!(rankings.add(["1", "2"], &two).await, Ok(Added::Moved));
    let all = members(&[("b", 2), ("c", 2), ("a", 2), ("d", 1)]);
    assert_eq!(shown(rankings.top("s", 10).await.unwrap()), ("2".into(), 0, all.clone()));
    assert_eq!(shown(rankings.top("s", 2).await.unwrap()).2, all[..2]);
    assert_eq!(shown(rankings.top("none", 2).await.unwrap()), ("2".into(), 0, vec![]));
    for (place, (name, _)) in all.iter().enumerate() {
        let first = place.saturating_sub(1);
        let expected = ("2".into(), first as u64, all[first..(place + 2).min(4)].to_vec());
        assert_eq!(shown(rankings.around("s", name, 1).await.unwrap()), expected);
    }
    assert_eq!(shown(rankings.around("s", "nobody", 1).await.unwrap()), ("2".into(), 0, vec![]));
    keeper.abort();
}

/// Whatever Redis drops to make room: nobody takes the rest for all there is.
#[tokio::test]
async fn what_lost_a_part_is_not_believed_and_built_anew() {
    let (redis, rankings, keeper) = start().await;
    for lost in ["z:s", "o:s", "state"] {
        let batch = [set("s", &[("a", 1, 1)]), set("t", &[("b", 1, 1)])];
        assert_eq!(rankings.add(["", "1"], &batch).await, Ok(Added::Moved), "{lost}");
        assert_eq!(redis.command(&["DEL", &format!("test:{{1}}:{lost}")]), ":1");
        assert_eq!(rankings.around("s", "a", 1).await, Ok(None), "{lost}");
        if lost == "state" {
            assert_eq!(rankings.top("t", 1).await, Ok(None));
            assert_eq!(rankings.checkpoint().await, Ok(String::new()));
            continue;
        }
        assert_eq!(rankings.add(["1", "2"], &batch).await, Ok(Added::Lost), "{lost}");
        assert_eq!(rankings.checkpoint().await, Ok(String::new()));
        assert_eq!(rankings.add(["1", "2"], &batch).await, Ok(Added::Elsewhere), "{lost}");
    }
    // What the first life left behind is not added to.
    assert_eq!(rankings.add(["", "5"], &[set("t", &[("b", 1, 1)])]).await, Ok(Added::Moved));
    assert_eq!(shown(rankings.top("t", 5).await.unwrap()), ("5".into(), 0, members(&[("b", 1)])));
    assert_eq!(shown(rankings.top("s", 5).await.unwrap()), ("5".into(), 0, vec![]));
    rankings.forget().await.unwrap();
    assert_eq!(rankings.top("t", 5).await, Ok(None));
    keeper.abort();
}

#[tokio::test]
async fn a_set_ends_and_others_stay() {
    let (redis, rankings, keeper) = start().await;
    let until_ms = Some(4_000_000_000_000);
    let batch = [SetAdditions { until_ms, ..set("s", &[("a", 1, 1)]) }, set("t", &[("a", 1, 1)])];
    assert_eq!(rankings.add(["", "1"], &batch).await, Ok(Added::Moved));
    for kind in ["z", "o"] {
        assert_eq!(redis.command(&["PTTL", &format!("test:{{1}}:{kind}:t")]), ":-1");
        assert_ne!(redis.command(&["PTTL", &format!("test:{{1}}:{kind}:s")]), ":-1");
    }
    let greatest = i64::try_from(SCORE_MAX).unwrap() - 1;
    assert_eq!(
        rankings.add(["1", "2"], &[set("t", &[("a", greatest, 1)])]).await,
        Ok(Added::Moved)
    );
    assert_eq!(shown(rankings.top("t", 1).await.unwrap()).2, members(&[("a", SCORE_MAX)]));
    keeper.abort();
}
