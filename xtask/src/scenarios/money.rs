//! What a scenario's calls did to money: their postings, what they say of it in `why`, and who has
//! how much in the end.

use serde::Deserialize;
use serde_json::Value;

use super::scenario::Scenario;
use super::tandem::Tandem;

/// One posting of a call; a side that is not written may be anybody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedPosting {
    kind: String,
    /// Who gives.
    debit: Option<String>,
    /// Who receives.
    credit: Option<String>,
    amount: String,
}

impl ExpectedPosting {
    fn is(&self, posting: &Value) -> bool {
        let side = |name: &Option<String>, field: &str| {
            name.as_ref().is_none_or(|name| posting[field] == name.as_str())
        };
        posting["kind"] == self.kind.as_str()
            && posting["amount"] == self.amount.as_str()
            && side(&self.debit, "debit_name")
            && side(&self.credit, "credit_name")
    }
}

/// If a scenario names postings, these and no others were made for its calls.
pub(crate) fn compare(
    tandem: &Tandem,
    scenario: &Scenario,
    cdrs: &[Value],
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    let expect = &scenario.expect;
    for (account, want) in &expect.balances {
        let balance = tandem.json(&format!("account show {account}"))?["balance"].take();
        if balance != want.as_str() {
            complaints.push(format!("{account} has a balance of {balance}, not {want}"));
        }
    }
    if scenario.posting.is_empty() && expect.why.is_empty() {
        return Ok(());
    }
    let (mut postings, mut reasons) = (Vec::new(), Vec::new());
    for cdr in cdrs.iter().filter(|cdr| cdr["leg"] == 0) {
        let call = cdr["call"].as_str().unwrap_or_default();
        let mut why = tandem.json(&format!("why {call}"))?;
        let mut take =
            |name: &str| why[name].as_array_mut().map(std::mem::take).unwrap_or_default();
        postings.append(&mut take("postings"));
        reasons.append(&mut take("decisions"));
    }
    for text in &expect.why {
        if !reasons.iter().any(|reason| reason.to_string().contains(text)) {
            let all: Vec<_> = reasons.iter().map(|reason| &reason["sentence"]).collect();
            complaints.push(format!("no call’s `why` says {text:?}: {all:#?}"));
        }
    }
    if !scenario.posting.is_empty() {
        compare_postings(&scenario.posting, postings, complaints);
    }
    Ok(())
}

fn compare_postings(
    expected: &[ExpectedPosting],
    mut postings: Vec<Value>,
    complaints: &mut Vec<String>,
) {
    for want in expected {
        match postings.iter().position(|posting| want.is(posting)) {
            Some(at) => drop(postings.swap_remove(at)),
            None => complaints.push(format!("there is no posting as {want:?}")),
        }
    }
    for posting in postings {
        complaints.push(format!("a posting that nothing expects: {posting}"));
    }
}
