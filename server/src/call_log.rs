//! What the log says of calls: one line when a call begins and one when it is answered (`debug`), one
//! when it is over (`info`), all under the target `call` and with the call's id. Numbers are masked.
//!
//! Lines are for looking, CDRs are the record: a worker writes only so many a second and counts the
//! rest, so a flood costs neither calls nor disk. A line that is not written costs the look at its
//! level.

use std::borrow::Cow;
use std::time::Duration;

use tracing::{Level, debug, enabled, info, warn};
use vocabulary::{AuthorizeRequest, CallId, LegFacts, Now, Number, Party, SettleRequest, TrunkId};

/// The target of all lines, for `log.level = "info,call=debug"`.
const TARGET: &str = "call";
/// A second of lines.
const SECOND: Duration = Duration::from_secs(1);
/// From so many digits on a text is taken for a number that somebody can be called at.
const NUMBER_DIGITS_MIN: usize = 5;

/// The lines of one worker's calls.
#[derive(Debug)]
pub struct CallLog {
    /// Lines a second.
    rate_max: u32,
    second_began: Duration,
    left: u32,
    left_out: u64,
}

impl CallLog {
    /// At most so many lines a second; 0 writes none.
    pub fn new(rate_max: u32) -> CallLog {
        CallLog { rate_max, second_began: Duration::ZERO, left: rate_max, left_out: 0 }
    }

    /// A call was let in; billing is asked.
    pub fn begins(&mut self, now: Now, request: &AuthorizeRequest) {
        if !enabled!(target: TARGET, Level::DEBUG) || !self.may_write(now) {
            return;
        }
        let AuthorizeRequest { call, account, kind, cld, cli, origin, .. } = request;
        debug!(
            target: TARGET,
            %call,
            %account,
            subscriber = origin.subscriber.map(|id| id.0),
            trunk_in = origin.trunk.map(|id| id.0),
            ?kind,
            from = cli.as_ref().map(|number| format!("{number:?}")),
            to = ?cld,
            "begins"
        );
    }

    /// The callee answered.
    pub fn answered(&mut self, now: Now, call: CallId, trunk: Option<TrunkId>) {
        if enabled!(target: TARGET, Level::DEBUG) && self.may_write(now) {
            let trunk_out = trunk.map(|id| id.0);
            debug!(target: TARGET, %call, trunk_out, "answered");
        }
    }

    /// It is over, or was never let in.
    pub fn over(&mut self, now: Now, request: &SettleRequest) {
        if !enabled!(target: TARGET, Level::INFO) || !self.may_write(now) {
            return;
        }
        let facts = &request.facts;
        let Some(ingress) = facts.legs.first() else { return };
        let (why, sentence) = facts.decisions.last().map_or(("", Cow::Borrowed("")), |last| {
            (last.code, masked_sentence(&last.sentence, &facts.legs))
        });
        let is_answered = ingress.answered_at.is_some();
        let is_refused = facts.legs.len() == 1 && ingress.release.by == Party::Switch;
        let outcome = match (is_answered, is_refused) {
            (true, _) => "ended",
            (false, true) => "refused",
            (false, false) => "not connected",
        };
        info!(
            target: TARGET,
            call = %facts.call,
            account = ingress.account.map(|id| id.0),
            subscriber = ingress.subscriber.map(|id| id.0),
            trunk_in = ingress.trunk.map(|id| id.0),
            trunk_out = request.answered_by.map(|id| id.0),
            attempts = facts.legs.len() - 1,
            from = masked_number(facts.cli.as_ref(), &ingress.cli),
            to = masked_number(facts.cld.as_ref(), &ingress.cld),
            talked_s = request.talked.as_secs(),
            status = ingress.release.sip_status,
            cause = ingress.release.cause,
            by = ?ingress.release.by,
            why,
            %sentence,
            "{outcome}"
        );
    }

    fn may_write(&mut self, now: Now) -> bool {
        if now.monotonic.saturating_sub(self.second_began) >= SECOND {
            (self.second_began, self.left) = (now.monotonic, self.rate_max);
            let left_out = std::mem::take(&mut self.left_out);
            if left_out > 0 && self.rate_max > 0 {
                warn!(target: TARGET, left_out, "more calls than log.call_lines_per_second");
            }
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left_out += 1;
                false
            }
        }
    }
}

/// A number that was understood, or what was sent in its place.
fn masked_number(number: Option<&Number>, text: &str) -> String {
    number.map_or_else(|| masked(text), |number| format!("{number:?}"))
}

/// A sentence for operators without the numbers that stand in it: neither those of the legs, however
/// they were written, nor anything else that looks like one.
fn masked_sentence<'a>(sentence: &'a str, legs: &[LegFacts]) -> Cow<'a, str> {
    if digits(sentence) < NUMBER_DIGITS_MIN && !sentence.contains(char::is_control) {
        return Cow::Borrowed(sentence);
    }
    let mut text = sentence.to_owned();
    for number in legs.iter().flat_map(|leg| [&leg.cli, &leg.cld]) {
        if digits(number) >= NUMBER_DIGITS_MIN && text.contains(number.as_str()) {
            text = text.replace(number.as_str(), &masked(number));
        }
    }
    Cow::Owned(without_numbers(&text))
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// All of it is taken for one number: of its digits the first three and the last two stay.
fn masked(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    let count = digits(text);
    if count < NUMBER_DIGITS_MIN {
        return printable.collect();
    }
    let numbers: String = text.chars().filter(char::is_ascii_digit).collect();
    hidden(&numbers)
}

/// As [`Number`] shows itself.
fn hidden(digits: &str) -> String {
    let shown = (digits.len().min(8) / 2).min(3);
    format!("{}***{}", &digits[..shown], &digits[digits.len() - 2..])
}

/// Masks every run of digits that is long enough, but no port of an address and no fraction of an
/// amount.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let length = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (run, after) = from.split_at(length);
        out.extend(before.chars().map(|c| if c.is_control() { ' ' } else { c }));
        let is_port = out.ends_with(':') && length == 5;
        if length < NUMBER_DIGITS_MIN || is_port || (length <= 6 && is_fraction(&out)) {
            out.push_str(run);
        } else {
            out.push_str(&hidden(run));
        }
        rest = after;
    }
    out.extend(rest.chars().map(|c| if c.is_control() { ' ' } else { c }));
    out
}

/// Does a blank, a few digits and a point stand at the end?
fn is_fraction(before: &str) -> bool {
    let Some(whole) = before.strip_suffix('.') else { return false };
    let sign = whole.trim_end_matches(|c: char| c.is_ascii_digit());
    sign.len() < whole.len()
        && whole.len() - sign.len() < NUMBER_DIGITS_MIN
        && sign.ends_with([' ', '-'])
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use vocabulary::{
        AccountId, CallFacts, CallKind, DecisionLine, Direction, Location, Origin, RateChoice,
        ReleaseFacts, Utc,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Written;

        fn make_writer(&'a self) -> Written {
            self.clone()
        }
    }

    /// What is written at this level, as JSON lines.
    fn lines(level: &str, act: impl FnOnce()) -> Vec<serde_json::Value> {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(tracing_subscriber::EnvFilter::new(level))
            .with_writer(written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn at(millis: u64) -> Now {
        Now { monotonic: Duration::from_millis(millis), utc: Utc(0) }
    }

    const CLI: &str = "+49 (30) 123-4567";
    const CLD: &str = "00442079460000";

    fn call() -> CallId {
        CallId::new(1, 0, 7)
    }

    fn leg(index: u8, by: Party) -> LegFacts {
        LegFacts {
            index,
            direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
            account: Some(AccountId(3)),
            subscriber: None,
            trunk: Some(TrunkId(u64::from(index) + 1)),
            remote: None,
            sip_call_id: "a@b".into(),
            cli: CLI.into(),
            cld: CLD.into(),
            started_at: Utc(0),
            attestation: None,
            ringing_at: None,
            answered_at: (by == Party::Caller).then_some(Utc(1)),
            ended_at: Utc(2),
            talked: Duration::from_secs(61),
            release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by },
        }
    }

    fn request(legs: Vec<LegFacts>, code: &'static str, sentence: &str) -> SettleRequest {
        let line = DecisionLine { code, sentence: sentence.into() };
        SettleRequest {
            talked: Duration::from_secs(61),
            answered_by: (legs.len() > 1).then_some(TrunkId(2)),
            facts: CallFacts {
                call: call(),
                cld: CLD[2..].parse().ok(),
                cli: CLI.parse().ok(),
                is_withheld: false,
                rate_choice: RateChoice::Usual,
                location: Location::default(),
                kind: Some(CallKind::Egress),
                legs,
                decisions: vec![line],
            },
        }
    }

    fn whole_call() {
        let mut log = CallLog::new(100);
        let asked = AuthorizeRequest {
            call: call(),
            account: AccountId(3),
            kind: CallKind::Egress,
            cld: CLD[2..].parse().unwrap(),
            cli: CLI.parse().ok(),
            rate_choice: RateChoice::Usual,
            location: Location::default(),
            at: Utc(0),
            candidates: Vec::new(),
            origin: Origin { cli: CLI.into(), cld: CLD.into(), ..Origin::default() },
        };
        log.begins(at(0), &asked);
        log.answered(at(1), call(), Some(TrunkId(2)));
        let legs = vec![leg(0, Party::Caller), leg(1, Party::Caller)];
        log.over(at(2), &request(legs, "ended_by_caller", "The caller hung up."));
    }

    #[test]
    fn a_call_is_three_lines_with_its_id_and_no_number() {
        let told = lines("trace", whole_call);
        let messages: Vec<_> = told.iter().map(|line| &line["fields"]["message"]).collect();
        assert_eq!(messages, ["begins", "answered", "ended"]);
        for line in &told {
            assert_eq!(line["fields"]["call"], call().to_string());
            assert_eq!(line["target"], "call");
            let digits: String = line["fields"].to_string();
            for number in ["442079460000", "4930123", "123-4567", "2079460"] {
                assert!(!digits.contains(number), "{digits}");
            }
        }
        let end = &told[2]["fields"];
        assert_eq!((&end["talked_s"], &end["why"]), (&61.into(), &"ended_by_caller".into()));
        assert_eq!((&end["by"], &end["trunk_out"]), (&"Caller".into(), &2.into()));
        assert_eq!((&end["from"], &end["to"]), (&"493***67".into(), &"442***00".into()));
        assert_eq!(lines("info", whole_call).len(), 1);
        assert_eq!(lines("info,call=warn", whole_call).len(), 0);
    }

    #[test]
    fn a_refusal_says_its_reason_without_the_number() {
        let refused = |sentence: &str| {
            let request = request(vec![leg(0, Party::Switch)], "no_route", sentence);
            let told = lines("info", || CallLog::new(1).over(at(0), &request));
            assert_eq!(told[0]["fields"]["message"], "refused");
            assert_eq!(told[0]["fields"]["why"], "no_route");
            told[0]["fields"]["sentence"].as_str().unwrap().to_owned()
        };
        assert_eq!(refused("No route covers 442079460000."), "No route covers 442***00.");
        assert_eq!(refused(&format!("Dialled {CLI:?}.")), "Dialled \"493***67\".");
        assert_eq!(refused("There is no user 0301234567."), "There is no user 030***67.");
        let kept = "It needs 0.600000 EUR and -12.345678 are left; 10.20.30.40:50600 sent it.";
        assert_eq!(refused(kept), kept);
        assert_eq!(refused("Dialled 030.1234567."), "Dialled 030.123***67.");
        assert_eq!(refused("a\nfaked 1 line 23456"), "a faked 1 line 23***56");
    }

    #[test]
    fn a_flood_writes_so_many_lines_a_second_and_says_how_many_are_left_out() {
        let told = lines("info", || {
            let mut log = CallLog::new(5);
            let request = request(vec![leg(0, Party::Switch)], "loop", "");
            for n in 0..5_000 {
                log.over(at(1_000 + n / 5), &request);
            }
            log.over(at(2_100), &request);
        });
        let refused = told.iter().filter(|line| line["fields"]["message"] == "refused").count();
        assert_eq!((refused, told.len()), (6, 7));
        assert_eq!(told[5]["fields"]["left_out"], 4_995);
    }
}
