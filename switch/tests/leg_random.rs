//! Whatever the network does and whatever the two calls want: both legs end, each says `Release`
//! at most once and nothing twice, and nothing stays armed.

mod leg_world;

use std::time::Duration;

use leg_world::*;
use proptest::prelude::*;
use switch::leg::event::{LegEvent, UpdateMethod};

/// What a call does to its leg at some moment.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Ring(bool),
    Answer,
    HangUp,
    ReInvite,
    Update,
    Accept,
    Refuse,
    Inform,
    Informed,
    Acknowledge,
}

fn event(deed: Deed) -> LegEvent {
    match deed {
        Deed::Ring(has_body) => ring(183, if has_body { sdp("early") } else { None }),
        Deed::Answer => answer(sdp("answer")),
        Deed::HangUp => hang_up(),
        Deed::ReInvite => update(UpdateMethod::ReInvite, sdp("hold")),
        Deed::Update => update(UpdateMethod::Update, sdp("hold")),
        Deed::Accept => update_answer(200, sdp("held")),
        Deed::Refuse => update_answer(488, None),
        Deed::Inform => LegEvent::Info { headers: bytes::Bytes::new(), body: sdp("1") },
        Deed::Informed => LegEvent::InfoAnswer { status: 200, body: None },
        Deed::Acknowledge => LegEvent::Acknowledge { body: sdp("answer") },
    }
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed, u64)>> {
    let deed = prop_oneof![
        2 => any::<bool>().prop_map(Deed::Ring),
        4 => Just(Deed::Answer),
        1 => Just(Deed::HangUp),
        2 => Just(Deed::ReInvite),
        2 => Just(Deed::Update),
        3 => Just(Deed::Accept),
        1 => Just(Deed::Refuse),
        1 => Just(Deed::Inform),
        1 => Just(Deed::Informed),
        1 => Just(Deed::Acknowledge),
    ];
    prop::collection::vec((0usize..2, deed, 0u64..3000), 0..16)
}

fn fates(mut seed: u64, loss: u64) -> Box<dyn FnMut(&Packet) -> Fate> {
    Box::new(move |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = seed >> 33;
        match roll % 100 {
            r if r < loss => Fate::Drop,
            r if r < loss + 10 => Fate::Twice,
            r if r < loss + 30 => Fate::After(Duration::from_millis(roll % 1500)),
            _ => Fate::Deliver,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_legs_end_and_say_so_once(
        seed in 0u64..,
        loss in 0u64..60,
        has_offer in any::<bool>(),
        script in deeds(),
    ) {
        let mut world = World::with(|_, config| config.session_timer.interval = Some(120));
        world.fates = fates(seed, loss);
        world.call(World::outgoing(if has_offer { sdp("offer") } else { None }));
        let (mut updates, mut infos) = ([0; 2], [0; 2]);
        for (side, deed, wait) in script {
            world.run_for(Duration::from_millis(wait));
            if !world.sides[side].legs.is_empty() {
                updates[side] += usize::from(matches!(deed, Deed::ReInvite | Deed::Update));
                infos[side] += usize::from(matches!(deed, Deed::Inform));
                world.tell(side, event(deed));
            }
        }
        // Every call ends its legs at last; an INVITE may reach the other side late.
        for _ in 0..3 {
            world.run_for(Duration::from_secs(20));
            world.tell_all(hang_up());
        }
        world.run_for(Duration::from_secs(150));
        for side in [CALLER, CALLEE] {
            let said = &world.sides[side].said;
            for index in 0..world.sides[side].legs.len() {
                let of_leg = said.iter().filter(|(leg, _)| *leg == index);
                let words: Vec<_> = of_leg.map(|(_, event)| word(event)).collect();
                let count = |what| words.iter().filter(|word| word.starts_with(what)).count();
                prop_assert!(count("release") <= 1 && count("answer") <= 1, "{words:?}");
                let release = words.iter().position(|word| word.starts_with("release"));
                let is_last = release.is_none_or(|at| at + 1 == words.len());
                prop_assert!(is_last, "{words:?}");
                prop_assert!(index > 0 || count("updated") <= updates[side], "{words:?}");
                prop_assert!(index > 0 || count("informed") <= infos[side], "{words:?}");
            }
            let endpoint = &world.sides[side].endpoint;
            let left = (endpoint.transactions(), endpoint.armed());
            prop_assert_eq!(left, (0, 0), "side {}: {:#?}", side, world.labels());
            for leg in &world.sides[side].legs {
                prop_assert!(leg.is_over(), "side {side}: {:#?}", world.labels());
                prop_assert!(leg.poll_timeout().is_none());
            }
        }
    }
}
