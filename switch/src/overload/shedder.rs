//! Whose new work is refused. Everybody gets the same: what is allowed altogether is shared out so that
//! nobody is refused who wants less than its share, and what it leaves goes to the others (max-min
//! fairness). Whoever we know comes before strangers, of whom anybody can make up as many as it likes: for
//! those is what the known ones leave, and an eighth at least.
//!
//! While there is no pressure nothing is counted. With it a window is counted, and the next one shared out
//! by what was wanted in it.

use std::hash::Hash;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::Pressure;

/// So long is counted before it is shared out anew.
const WINDOW: Duration = Duration::from_millis(100);
/// Sources that are told apart, of the known and of strangers each. The others share what one gets.
const SOURCES_MAX: usize = 4096;
/// One request, in the unit of shares.
const ONE: u64 = 1000;
/// Of a source's share of the window before so much is kept for the next: a request comes late.
const KEPT_WINDOWS: u64 = 2;
/// Strangers get this part of all if they want it.
const STRANGERS_PART: u64 = 8;
/// So many calls for help of one source go first in a window, and of all strangers together: whoever calls a
/// number for help all the time wants no help.
const HELP_MOST: u32 = 10;
/// So many refreshes of one source go first in a window: an account may have many phones.
const REFRESHES_MOST: u32 = 100;
/// What was wanted before counts for so much of four.
const MEMORY: u64 = 3;
/// Without pressure for so long, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Who wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wants<K> {
    /// Whose share it comes out of.
    pub source: K,
    /// We know it: a trunk by its address, or whoever has shown right credentials from there lately.
    pub is_known: bool,
    /// What it wants.
    pub what: WantsWhat,
}

/// What somebody wants who is not in a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WantsWhat {
    /// To call an emergency number.
    Help,
    /// To stay registered.
    Refresh,
    /// Something for which it shows credentials: the work of asking for them is done.
    WithCredentials,
    /// Anything else.
    New,
}

/// What is known of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// Wanted in this window: new work, and what comes with credentials.
    wanted: [u32; 2],
    /// Calls for help and refreshes in this window.
    first: [u32; 2],
    /// Wanted in a window, as an average.
    rate: u64,
    /// What is left of its share of either; `None` before it has one.
    left: Option<[u64; 2]>,
}

/// Known ones, or strangers.
#[derive(Debug)]
struct Kind<K> {
    sources: HashMap<Option<K>, Source, FixedState>,
    /// What each source gets in a window; `None`: nobody has been counted yet.
    level: Option<u64>,
    /// What did not make a whole request of those that were new.
    carried: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Shedder<K> {
    known: Kind<K>,
    strangers: Kind<K>,
    pressure: Pressure,
    window_began: Duration,
    calm_since: Duration,
    /// Of the first window under pressure, of which nothing is known.
    carried: u64,
}

impl<K: Hash + Eq + Copy> Shedder<K> {
    /// The seed keys what strangers choose; keep it secret.
    pub fn new(seed: u64) -> Shedder<K> {
        let kind = || Kind {
            sources: HashMap::with_hasher(FixedState::with_seed(seed)),
            level: None,
            carried: 0,
        };
        let (known, strangers) = (kind(), kind());
        let zero = Duration::ZERO;
        Shedder {
            known,
            strangers,
            pressure: Pressure::default(),
            window_began: zero,
            calm_since: zero,
            carried: 0,
        }
    }

    /// From now on so much is to be refused.
    pub fn set(&mut self, now: Duration, pressure: Pressure) {
        let calm = Pressure::Share(0);
        if pressure == calm && self.pressure != calm {
            self.calm_since = now;
        }
        if pressure != calm && self.pressure == calm && now >= self.calm_since + FORGOTTEN_AFTER {
            for kind in [&mut self.known, &mut self.strangers] {
                kind.sources.clear();
                kind.level = None;
            }
            self.window_began = now;
        }
        self.pressure = pressure;
    }

    /// Whether anything is refused at all.
    pub fn is_calm(&self) -> bool {
        self.pressure == Pressure::Share(0)
    }

    /// Whether this is to be done.
    pub fn admits(&mut self, now: Duration, wants: Wants<K>) -> bool {
        let share = match self.pressure {
            Pressure::Share(0) => return true,
            Pressure::All => return false,
            Pressure::Share(share) => u64::from(share),
        };
        if now >= self.window_began + WINDOW {
            self.share_out(share);
            self.window_began = now;
        }
        let kind = if wants.is_known { &mut self.known } else { &mut self.strangers };
        if kind.goes_first(&wants) {
            return true;
        }
        let level = kind.level;
        let place = usize::from(wants.what != WantsWhat::New);
        let Kind { sources, carried, .. } = kind;
        let source = source(sources, wants.source);
        source.wanted[place] += 1;
        let Some(level) = level else {
            // Whoever wants little wants it once in a window.
            let is_first = wants.is_known && source.wanted[place] == 1;
            return is_first || passes(&mut self.carried, ONE - share);
        };
        let left = source.left.get_or_insert_with(|| {
            // Of those that come anew as many get in as have a share together.
            [(); 2].map(|()| if passes(carried, level.min(ONE)) { level.max(ONE) } else { 0 })
        });
        let left = &mut left[place];
        let is_in = *left >= ONE;
        if is_in {
            *left -= ONE;
        }
        is_in
    }

    /// A window is over: what the next one allows is shared out by what was wanted.
    fn share_out(&mut self, share: u64) {
        let known = self.known.rates();
        let strangers = self.strangers.rates();
        let (of_known, of_strangers) = (known.iter().sum::<u64>(), strangers.iter().sum::<u64>());
        let allowed = (of_known + of_strangers) * (ONE - share) / ONE;
        let kept = of_strangers.min(allowed / STRANGERS_PART);
        let for_known = of_known.min(allowed - kept);
        self.known.grant(level(known, for_known));
        self.strangers.grant(level(strangers, allowed - for_known));
    }
}

/// Whether one more makes the sum whole: of many so many in a thousand do, evenly.
fn passes(carried: &mut u64, of_thousand: u64) -> bool {
    *carried += of_thousand;
    let is_whole = *carried >= ONE;
    if is_whole {
        *carried -= ONE;
    }
    is_whole
}

/// What each may have at most so that all together get as much as is allowed.
fn level(mut rates: Vec<u64>, allowed: u64) -> u64 {
    rates.sort_unstable();
    let mut left = allowed;
    let mut count = rates.len() as u64;
    for rate in rates {
        let even = left / count;
        if rate > even {
            return even;
        }
        left -= rate;
        count -= 1;
    }
    // Nobody wants more than there is; whoever comes now may have what is left.
    u64::MAX / (2 * KEPT_WINDOWS)
}

/// What is known of this one, or of all that there is no room for.
fn source<K: Hash + Eq + Copy>(
    sources: &mut HashMap<Option<K>, Source, FixedState>,
    key: K,
) -> &mut Source {
    let is_full = sources.len() >= SOURCES_MAX && !sources.contains_key(&Some(key));
    sources.entry(Some(key).filter(|_| !is_full)).or_default()
}

impl<K: Hash + Eq + Copy> Kind<K> {
    /// Whether this is not to be refused, however little there is to share out.
    fn goes_first(&mut self, wants: &Wants<K>) -> bool {
        let (place, most) = match wants.what {
            WantsWhat::Help => (0, HELP_MOST),
            WantsWhat::Refresh => (1, REFRESHES_MOST),
            WantsWhat::WithCredentials | WantsWhat::New => return false,
        };
        let source = match wants.is_known {
            true => source(&mut self.sources, wants.source),
            // Anybody can make up as many of them as it likes: all of them are one.
            false => self.sources.entry(None).or_default(),
        };
        source.first[place] += 1;
        source.first[place] <= most
    }

    /// What each wants in a window. Who has not wanted anything for a while is forgotten.
    fn rates(&mut self) -> Vec<u64> {
        self.sources.retain(|_, source| {
            // Who shows credentials has asked without them before: that is one call.
            let [new, with_credentials] = std::mem::take(&mut source.wanted);
            source.first = [0; 2];
            let wanted = u64::from(new.max(with_credentials)) * ONE;
            source.rate = match source.rate {
                0 => wanted,
                rate => (rate * MEMORY + wanted) / (MEMORY + 1),
            };
            source.rate > ONE / 20
        });
        self.sources.values().map(|source| source.rate).collect()
    }

    fn grant(&mut self, level: u64) {
        self.level = Some(level);
        for source in self.sources.values_mut() {
            for left in source.left.get_or_insert_default() {
                *left = left.saturating_add(level).min((level * KEPT_WINDOWS).max(ONE + level));
            }
        }
    }
}
