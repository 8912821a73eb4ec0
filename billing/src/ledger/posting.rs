//! One immutable movement between two accounts, and the memory of the newest ones.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{AccountId, CallId, Utc};

use super::{BundleId, SystemAccount, SystemKind};
use crate::{Currency, Money, OpId, Position, PostingTax};

/// What a posting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostingKind {
    /// A customer pays for a call.
    Charge,
    /// A carrier is paid for a call.
    Cost,
    /// Money paid in, or paid out if the account is debited.
    TopUp,
    /// A correction by an operator.
    Adjustment,
    /// A call was priced again, higher: a payer gives the difference.
    ChargeRaised,
    /// A call was priced again, lower: a payer gets the difference back.
    ChargeLowered,
    /// A call was priced again, higher: the carrier gets the difference.
    CostRaised,
    /// A call was priced again, lower: the carrier gives the difference back.
    CostLowered,
    /// A plan's fee, or a one-time charge.
    Fee,
    /// Of a fee, what was paid for days after the end.
    FeeRefund,
    /// A credit note (J-33).
    CreditNote,
    /// A voucher was redeemed (P-025).
    Voucher,
    /// A carrier is paid what we owe it.
    Payout,
}

impl PostingKind {
    /// Whether a posting of this kind changes what we owe a carrier. That is no money for calls, so it
    /// is never leased to a node.
    pub fn changes_owed(self) -> bool {
        matches!(
            self,
            PostingKind::Cost
                | PostingKind::CostRaised
                | PostingKind::CostLowered
                | PostingKind::Payout
        )
    }
}

/// An amount moved from one account to another, for ever. A mistake is mended by another posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its id; a second posting of the same id is none.
    pub op: OpId,
    /// What for.
    pub kind: PostingKind,
    /// Who gives.
    pub debit: AccountId,
    /// Who receives.
    pub credit: AccountId,
    /// How much; never negative.
    pub amount: Money,
    /// Of what.
    pub currency: Currency,
    /// When.
    pub at: Utc,
    /// For which call.
    pub call: Option<CallId>,
    /// Why, in an operator's words; empty for calls.
    pub note: String,
    /// The taxes on it (R13).
    pub tax: Option<PostingTax>,
}

impl Posting {
    /// Money paid in by a customer: cash → account.
    pub fn top_up(
        op: OpId,
        account: AccountId,
        amount: Money,
        currency: Currency,
        at: Utc,
        note: String,
    ) -> Posting {
        let cash = SystemAccount { kind: SystemKind::Cash, currency }.id();
        let kind = PostingKind::TopUp;
        Posting {
            op,
            kind,
            debit: cash,
            credit: account,
            amount,
            currency,
            at,
            call: None,
            note,
            tax: None,
        }
    }

    /// A correction: a positive amount is given to the account, a negative one taken from it.
    pub fn adjustment(
        op: OpId,
        account: AccountId,
        amount: Money,
        currency: Currency,
        at: Utc,
        note: String,
    ) -> Posting {
        let ours = SystemAccount { kind: SystemKind::Adjustment, currency }.id();
        let (debit, credit) = if amount.is_negative() { (account, ours) } else { (ours, account) };
        let amount = Money(amount.0.saturating_abs());
        let kind = PostingKind::Adjustment;
        Posting { op, kind, debit, credit, amount, currency, at, call: None, note, tax: None }
    }

    /// A movement between an account and the side of ours that its kind is kept on: a positive
    /// amount is given to the account, a negative one taken from it.
    pub fn between(
        kind: PostingKind,
        op: OpId,
        account: AccountId,
        amount: Money,
        currency: Currency,
        at: Utc,
        note: String,
    ) -> Posting {
        let ours = match kind {
            PostingKind::TopUp | PostingKind::Voucher | PostingKind::Payout => SystemKind::Cash,
            PostingKind::Adjustment => SystemKind::Adjustment,
            PostingKind::Cost | PostingKind::CostRaised | PostingKind::CostLowered => {
                SystemKind::Cost
            }
            _ => SystemKind::Revenue,
        };
        let ours = SystemAccount { kind: ours, currency }.id();
        let (debit, credit) = if amount.is_negative() { (account, ours) } else { (ours, account) };
        let amount = Money(amount.0.saturating_abs());
        Posting { op, kind, debit, credit, amount, currency, at, call: None, note, tax: None }
    }

    /// The same for an account below this reseller: what would go to or come from our revenue is
    /// of the reseller's sales, as with calls.
    #[must_use]
    pub fn sold_by(mut self, reseller: Option<AccountId>) -> Posting {
        let Some(reseller) = reseller else { return self };
        let currency = self.currency;
        let revenue = SystemAccount { kind: SystemKind::Revenue, currency }.id();
        let sales = SystemAccount { kind: SystemKind::Sales(reseller), currency }.id();
        for side in [&mut self.debit, &mut self.credit] {
            if *side == revenue {
                *side = sales;
            }
        }
        self
    }

    /// The same with these taxes.
    #[must_use]
    pub fn taxed(mut self, tax: Option<PostingTax>) -> Posting {
        self.tax = tax;
        self
    }

    /// We pay a carrier what we owe it: account → cash.
    pub fn payout(
        op: OpId,
        account: AccountId,
        amount: Money,
        currency: Currency,
        at: Utc,
        note: String,
    ) -> Posting {
        let cash = SystemAccount { kind: SystemKind::Cash, currency }.id();
        let kind = PostingKind::Payout;
        Posting {
            op,
            kind,
            debit: account,
            credit: cash,
            amount,
            currency,
            at,
            call: None,
            note,
            tax: None,
        }
    }

    pub(super) fn memo(&self, position: Position) -> Memo {
        let what = What::Posting(self.debit, self.credit, self.amount);
        Memo { op: self.op, what, position }
    }
}

/// May a posting take an account below what is available?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdraft {
    /// No: refuse it.
    Refuse,
    /// Yes: an operator insists.
    Allow,
}

/// An operation from outside, remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memo {
    pub(super) op: OpId,
    pub(super) what: What,
    pub(super) position: Position,
}

/// What must be the same for a repeat to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Debit, credit, amount.
    Posting(AccountId, AccountId, Money),
    /// Account, bundle, seconds.
    Grant(AccountId, BundleId, u32),
}

impl Memo {
    pub(super) fn is_same(&self, posting: &Posting) -> bool {
        self.what == What::Posting(posting.debit, posting.credit, posting.amount)
    }
}

/// How many operations from outside are remembered. An older repeat is found by the unique op id
/// in SQL, which whoever takes the command asks first; this memory covers the time until the
/// operation is there.
const RECENT_MAX: usize = 16_384;

/// The newest operations from outside.
#[derive(Debug)]
pub(super) struct Recent {
    order: VecDeque<OpId>,
    memos: HashMap<OpId, Memo, FixedState>,
}

impl Recent {
    pub(super) fn new() -> Recent {
        Recent { order: VecDeque::new(), memos: HashMap::with_hasher(FixedState::default()) }
    }

    pub(super) fn push(&mut self, memo: Memo) {
        if self.order.len() == RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.memos.remove(&oldest);
        }
        self.order.push_back(memo.op);
        self.memos.insert(memo.op, memo);
    }

    pub(super) fn find(&self, op: OpId) -> Option<&Memo> {
        self.memos.get(&op)
    }
}
