//! In process: many subjects in little room, and many threads at once.

use super::*;

/// Trap 11: a million addresses take no more room than a few, and who has nothing to wait for goes first.
#[test]
fn a_million_addresses_find_room_and_push_out_nobody_who_waits() {
    let (limiter, clock) = in_process();
    let slow = Arc::new(policy("slow", &[tier(Algorithm::Gcra, 1, 86_400)]));
    let quick = Arc::new(policy("quick", &[tier(Algorithm::Gcra, 1_000, 1)]));
    let blocked: Vec<Charge> = (0..100).map(|n| charge(&slow, &format!("{n}"), 1)).collect();
    for charge in &blocked {
        assert!(limiter.decide_here(std::slice::from_ref(charge)).unwrap().is_allowed());
    }
    for n in 0..1_000_000_u32 {
        clock.advance(Duration::from_millis(1));
        let subject = Subject::address("address", std::net::Ipv4Addr::from_bits(n).into());
        let charge = Charge::new(Arc::clone(&quick), subject, 1).unwrap();
        assert!(limiter.decide_here(&[charge]).unwrap().is_allowed());
    }
    assert!(limiter.state().subjects <= SUBJECTS_MAX.get() + 64, "{:?}", limiter.state());
    for charge in &blocked {
        assert!(!limiter.decide_here(std::slice::from_ref(charge)).unwrap().is_allowed());
    }
}

/// Trap 5, in process: threads that charge the same subjects in different orders neither wait for each
/// other for ever nor pass one more than the limit.
#[test]
fn threads_in_process_do_not_exceed_the_limit_by_one() {
    for algorithm in Algorithm::ALL {
        let limiter = Limiter::in_process(SUBJECTS_MAX, MonotonicClock::system());
        let narrow = Arc::new(policy("narrow", &[tier(algorithm, 500, 86_400)]));
        let wide = Arc::new(policy("wide", &[tier(Algorithm::FixedWindow, 5_000, 86_400)]));
        let names = ["a", "b", "c", "d", "e"];
        let charges: Vec<Charge> = names.map(|name| charge(&wide, name, 1)).to_vec();
        let passed: usize = std::thread::scope(|scope| {
            let one = |thread: usize| {
                let mut charges = charges.clone();
                charges.push(charge(&narrow, "all", 1));
                charges.rotate_left(thread);
                let limiter = &limiter;
                scope.spawn(move || {
                    let passes = |_: &usize| limiter.decide_here(&charges).unwrap().is_allowed();
                    (0..200).filter(passes).count()
                })
            };
            let threads: Vec<_> = (0..6).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 500, "{algorithm}");
        let left = limiter.peek_here(&charges[..1]).unwrap().standing().unwrap().remaining();
        assert_eq!(left, 4_500, "{algorithm}: charged for what passed and for nothing else");
    }
}

/// Trap 11: a newcomer never takes the place of another subject of the same request.
#[test]
fn a_request_pushes_out_none_of_its_own_subjects() {
    let store = here::Here::with_shards(1, NonZeroUsize::MIN);
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 10, 86_400)]));
    let known = charge(&policy, "known", 5);
    assert!(store.decide(Way::Here, std::slice::from_ref(&known), 0, || 1, true).is_allowed());
    let mut now = 2;
    while store.len() < 2 * CHARGES_MAX {
        let other = charge(&policy, &format!("{now}"), 1);
        assert!(store.decide(Way::Here, &[other], 0, || now, true).is_allowed());
        now += 1;
    }
    let newcomer = charge(&policy, "newcomer", 1);
    let decision =
        store.decide(Way::Here, &[newcomer, charge(&policy, "known", 1)], 0, || now, true);
    assert_eq!(decision.standings()[1].remaining(), 4);
}

/// Trap 11: logs are long, so there are fewer of them: who was asked for longest ago leaves.
#[test]
fn logs_of_many_subjects_find_room() {
    let store = here::Here::with_shards(1, NonZeroUsize::new(100).unwrap());
    let policy = Arc::new(policy("p", &[tier(Algorithm::SlidingLog, 1_000, 3_600)]));
    for now in 0..50_000 {
        let charge = charge(&policy, &format!("{}", now / 500), 1);
        assert!(store.decide(Way::Here, &[charge], now, || now, true).is_allowed());
    }
    assert!(store.entries() <= 100 * 32, "{}", store.entries());
    let last = store.decide(Way::Here, &[charge(&policy, "99", 501)], 0, || 50_000, false);
    assert!(!last.is_allowed(), "of the last subject all is known");
}
