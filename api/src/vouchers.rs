//! Vouchers (P-025) and batches of accounts with PINs (V-12, A-14). Codes are drawn here, shown in
//! the answer that makes them and never again; only their keyed hashes are kept.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use billing::plans::Shortage;
use billing::{Currency, Money, OpId};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::charges::{ChargeKind, ChargeRow};
use store::directory::{Account, AccountEventKind, AccountStatus, BillingKind, Change};
use store::moment::format_utc;
use store::voucher::{Claim, CodeHash, Redeemed, VoucherBatch};
use vocabulary::{AccountId, Utc};

use crate::account_number::{self, DIGITS, random_digits};
use crate::accounts::{moment, parsed};
use crate::command::{Command, Stop, Touched, Turn};
use crate::wire::List;
use crate::{Api, Problem, Shared};

/// Capitals and digits without those that look alike.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const KEY_SETTING: &str = "code_key";
const PIN_LENGTH_SETTING: &str = "pin_length";
const PIN_LENGTH_DEFAULT: usize = 10;
const VOUCHERS_MAX: usize = 50_000;
const PINS_MAX: usize = 5_000;
/// Of so many guesses one hits at most.
const GUESSES_MIN: u128 = 1_000_000;
/// Wrong codes that an account may try in an hour.
const FAILURES_MAX: u64 = 10;
const HOUR: i64 = 3_600_000_000;

/// How codes look.
struct Form<'a> {
    prefix: &'a str,
    length: usize,
    alphabet: &'a [u8],
}

impl Form<'_> {
    /// So long that guessing hits one in a million at most.
    fn check(&self, count: usize) -> Result<(), Problem> {
        let is_plain = self.prefix.bytes().all(|byte| self.alphabet.contains(&byte));
        if !is_plain {
            let what = "write signs of the alphabet: digits, or capitals and digits without those \
                        that look alike (0, 1, I, O)";
            return Err(Problem::invalid("prefix", what));
        }
        let drawn = self.length.checked_sub(self.prefix.len()).filter(|_| self.length <= 32);
        let Some(drawn) = drawn else {
            return Err(Problem::invalid(
                "length",
                "write at most 32, and more than the prefix has",
            ));
        };
        let needed = count as u128 * GUESSES_MIN;
        let codes = (self.alphabet.len() as u128).checked_pow(u32::try_from(drawn).unwrap_or(32));
        if codes.is_some_and(|codes| codes < needed) {
            let what = "too short: of a million guesses one would hit; write a greater length or \
                        draw fewer";
            return Err(Problem::invalid("length", what));
        }
        Ok(())
    }

    fn draw(&self) -> String {
        let drawn = random_digits(self.length - self.prefix.len(), self.alphabet);
        format!("{}{drawn}", self.prefix)
    }
}

/// The key of all codes of this data directory; drawn when it is first needed.
async fn code_key(change: &mut Change) -> Result<[u8; 32], Problem> {
    if let Some(text) = change.setting(KEY_SETTING).await? {
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| {
                Problem::new(500, "internal", "the setting code_key cannot be read")
            })?;
        }
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the operating system gives random bytes");
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    change.set_setting(KEY_SETTING, &text).await?;
    Ok(key)
}

/// `kind` keeps a PIN from being a voucher.
fn hash(key: &[u8; 32], kind: &str, code: &str) -> CodeHash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(kind.as_bytes());
    mac.update(&[0]);
    mac.update(code.as_bytes());
    mac.finalize().into_bytes().into()
}

/// As people type it: in small letters, with blanks and dashes.
fn normal(code: &str) -> String {
    let signs = code.chars().filter(|sign| !sign.is_whitespace() && *sign != '-');
    signs.map(|sign| sign.to_ascii_uppercase()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    name: String,
    count: usize,
    amount: String,
    currency: String,
    length: Option<usize>,
    #[serde(default)]
    prefix: String,
    /// Capitals and digits instead of digits only.
    #[serde(default)]
    letters: bool,
    expires_at: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct BatchOnWire {
    name: String,
    amount: String,
    currency: String,
    count: u64,
    redeemed: u64,
    expires_at: Option<String>,
    voided_at: Option<String>,
    created_at: String,
    /// The codes, in the answer that made them only.
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<String>,
}

impl BatchOnWire {
    fn new(batch: &VoucherBatch, csv: Option<String>) -> BatchOnWire {
        BatchOnWire {
            name: batch.name.clone(),
            amount: batch.amount.to_string(),
            currency: batch.currency.clone(),
            count: batch.count,
            redeemed: batch.redeemed,
            expires_at: batch.expires_at.map(format_utc),
            voided_at: batch.voided_at.map(format_utc),
            created_at: format_utc(batch.created_at),
            csv,
        }
    }
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<BatchOnWire>>, Problem> {
    let batches = api.store.voucher_batches().await?;
    Ok(Json(List { items: batches.iter().map(|batch| BatchOnWire::new(batch, None)).collect() }))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewBatch = command.json()?;
    let amount: Money = parsed("amount", &new.amount)?;
    if amount <= Money::ZERO {
        return Err(Problem::invalid("amount", "write an amount above 0").into());
    }
    let _: Currency = parsed("currency", &new.currency)?;
    if !(1..=VOUCHERS_MAX).contains(&new.count) {
        return Err(Problem::invalid("count", "write a number from 1 to 50,000").into());
    }
    let alphabet = if new.letters { LETTERS } else { DIGITS };
    let length = new.length.unwrap_or(if new.letters { 12 } else { 16 });
    let form = Form { prefix: &new.prefix, length, alphabet };
    form.check(new.count)?;
    let now = api.control.now();
    let expires_at = new.expires_at.as_deref();
    let expires_at = expires_at.map(|text| moment("expires_at", Some(text), now)).transpose()?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("expires_at", "it is past").into());
    }
    let mut turn = api.begin(&command).await?;
    let key = code_key(&mut turn.change).await?;
    let (mut codes, mut hashes) = (BTreeSet::new(), Vec::with_capacity(new.count));
    let mut csv = String::from("serial,code\n");
    while hashes.len() < new.count {
        let code = form.draw();
        let hash = hash(&key, "voucher", &code);
        if codes.insert(code.clone()) && turn.change.is_voucher_free(&hash).await? {
            hashes.push(hash);
            csv.push_str(&format!("{},{code}\n", hashes.len()));
        }
    }
    let batch = VoucherBatch {
        id: 0,
        name: new.name,
        amount,
        currency: new.currency,
        count: 0,
        redeemed: 0,
        expires_at,
        voided_at: None,
        created_at: now,
    };
    let batch = turn.change.add_vouchers(batch, &hashes).await?;
    let (shown, kept) = (BatchOnWire::new(&batch, Some(csv)), BatchOnWire::new(&batch, None));
    api.finish_once(turn, Touched::Money, 201, &shown, &kept).await
}

pub(crate) async fn void(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let batch = turn.change.void_vouchers(&name, api.control.now()).await?;
    api.finish(turn, Touched::Money, 200, &BatchOnWire::new(&batch, None)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    code: String,
}

#[derive(Serialize)]
struct Receipt {
    account: String,
    op_id: String,
    amount: String,
    currency: String,
    batch: String,
    serial: u64,
    redeemed_at: String,
}

/// Exactly one account gets a voucher's money: the claim is committed first, with the charge that
/// books it, and the charge is named by the voucher.
pub(crate) async fn redeem(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: Redeem = command.json()?;
    let now = api.control.now();
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    if account.status == AccountStatus::Closed {
        return Err(Problem::new(409, "account_closed", "the account is closed").into());
    }
    let since = Utc(now.0 - HOUR);
    if turn.change.voucher_failures(account.id, since).await? >= FAILURES_MAX {
        let what = "too many wrong codes; try again in an hour";
        return Err(Problem::new(429, "too_many_attempts", what).into());
    }
    let key = code_key(&mut turn.change).await?;
    let code = hash(&key, "voucher", &normal(&asked.code));
    let claim = turn.change.claim_voucher(&code, &account, now).await?;
    let redeemed = match claim {
        Claim::Claimed(redeemed) => {
            note_claim(&mut turn, &account, &redeemed, now).await?;
            redeemed
        }
        Claim::Before(redeemed) => redeemed,
        Claim::Invalid => return Err(failed(turn, &account, now, "this code is not valid").await),
        Claim::Expired => return Err(failed(turn, &account, now, "this code has expired").await),
        Claim::Voided => return Err(failed(turn, &account, now, "this code was withdrawn").await),
        Claim::Currency(currency) => {
            let what = format!("this code is in {currency}, the account in {}", account.currency);
            return Err(Problem::invalid("code", what).into());
        }
    };
    let receipt = Receipt {
        account: account.name,
        op_id: OpId::voucher(redeemed.voucher).to_string(),
        amount: redeemed.amount.to_string(),
        currency: account.currency,
        batch: redeemed.batch,
        serial: redeemed.serial,
        redeemed_at: format_utc(redeemed.at),
    };
    let answer = api.finish(turn, Touched::Money, 201, &receipt).await?;
    api.book_now().await;
    Ok(answer)
}

async fn note_claim(
    turn: &mut Turn,
    account: &Account,
    redeemed: &Redeemed,
    now: Utc,
) -> Result<(), Problem> {
    let label = format!("Voucher {} {}", redeemed.batch, redeemed.serial);
    let op = OpId::voucher(redeemed.voucher);
    let row = given(op, account.id, ChargeKind::Voucher, redeemed.amount, &label, now);
    turn.change.add_charge(&row).await?;
    turn.change.try_charges_again(account.id, now).await?;
    turn.change.add_event(account.id, AccountEventKind::VoucherRedeemed, &label, now).await?;
    Ok(())
}

/// The wrong code is remembered though the command fails.
async fn failed(mut turn: Turn, account: &Account, now: Utc, what: &str) -> Stop {
    let since = Utc(now.0 - HOUR);
    let noted = async {
        turn.change.add_voucher_failure(account.id, now, since).await?;
        if turn.change.voucher_failures(account.id, since).await? == FAILURES_MAX {
            turn.change.add_event(account.id, AccountEventKind::VoucherLocked, "", now).await?;
        }
        turn.change.commit().await
    };
    match noted.await {
        Ok(()) => Problem::invalid("code", what).into(),
        Err(error) => error.into(),
    }
}

fn given(
    op: OpId,
    account: AccountId,
    kind: ChargeKind,
    amount: Money,
    label: &str,
    now: Utc,
) -> ChargeRow {
    let label = label.to_owned();
    let (subscription, days, shortage, tax) = (None, None, Shortage::Debt, None);
    ChargeRow { op, account, kind, amount, label, subscription, days, due_at: now, shortage, tax }
}

async fn pin_length(change: &mut Change) -> Result<usize, Problem> {
    let kept = change.setting(PIN_LENGTH_SETTING).await?;
    Ok(kept.and_then(|text| text.parse().ok()).unwrap_or(PIN_LENGTH_DEFAULT))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinSettings {
    pin_length: usize,
}

pub(crate) async fn show_pin_settings(State(api): Shared) -> Result<Json<PinSettings>, Problem> {
    let pin_length = pin_length(&mut api.store.begin_read().await?).await?;
    Ok(Json(PinSettings { pin_length }))
}

pub(crate) async fn set_pin_settings(
    State(api): Shared,
    command: Command,
) -> Result<Response, Stop> {
    let asked: PinSettings = command.json()?;
    if !(6..=20).contains(&asked.pin_length) {
        return Err(Problem::invalid("pin_length", "write a number from 6 to 20").into());
    }
    let mut turn = api.begin(&command).await?;
    turn.change.set_setting(PIN_LENGTH_SETTING, &asked.pin_length.to_string()).await?;
    api.finish(turn, Touched::Money, 200, &asked).await
}

/// A PIN that nobody has, and its hash.
async fn draw_pin(
    change: &mut Change,
    key: &[u8; 32],
    form: &Form<'_>,
) -> Result<(String, CodeHash), Problem> {
    loop {
        let pin = form.draw();
        let hash = hash(key, "pin", &pin);
        if change.pin_owner(&hash).await?.is_none() {
            return Ok((pin, hash));
        }
    }
}

/// Draws a new PIN for one account, and shows it this once.
pub(crate) async fn new_pin(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let now = api.control.now();
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let key = code_key(&mut turn.change).await?;
    let length = pin_length(&mut turn.change).await?;
    let form = Form { prefix: "", length, alphabet: DIGITS };
    let (pin, hash) = draw_pin(&mut turn.change, &key, &form).await?;
    turn.change.set_pin(account.id, &hash, "", now).await?;
    let shown = serde_json::json!({ "account": account.name, "pin": pin });
    let kept = serde_json::json!({ "account": account.name });
    api.finish_once(turn, Touched::Money, 201, &shown, &kept).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPins {
    name: String,
    count: usize,
    currency: String,
    rate_group: Option<String>,
    parent: Option<String>,
    length: Option<usize>,
    #[serde(default)]
    prefix: String,
    opening_balance: Option<String>,
    time_zone: Option<String>,
}

/// Opens accounts with PINs and opening balances: all of them or none.
pub(crate) async fn add_pins(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewPins = command.json()?;
    if !(1..=PINS_MAX).contains(&new.count) {
        return Err(Problem::invalid("count", "write a number from 1 to 5,000").into());
    }
    let opening: Money = match &new.opening_balance {
        Some(text) => parsed("opening_balance", text)?,
        None => Money::ZERO,
    };
    if opening.is_negative() {
        return Err(Problem::invalid("opening_balance", "write 0 or more").into());
    }
    let now = api.control.now();
    let mut turn = api.begin(&command).await?;
    let key = code_key(&mut turn.change).await?;
    let length = new.length.unwrap_or(pin_length(&mut turn.change).await?);
    let form = Form { prefix: &new.prefix, length, alphabet: DIGITS };
    form.check(new.count)?;
    let mut csv = String::from("account,number,pin\n");
    for serial in 1..=new.count {
        let name = format!("{}-{serial:05}", new.name);
        let mut account = Account::new(&name, BillingKind::Prepaid, &new.currency, now);
        account.number = Some(account_number::draw(&mut turn.change).await?);
        account.rate_group.clone_from(&new.rate_group);
        account.parent.clone_from(&new.parent);
        account.time_zone = new.time_zone.clone().unwrap_or(account.time_zone);
        let account = turn.change.add_account(account).await?;
        let (pin, hash) = draw_pin(&mut turn.change, &key, &form).await?;
        turn.change.set_pin(account.id, &hash, &new.name, now).await?;
        turn.change.add_event(account.id, AccountEventKind::Created, &new.name, now).await?;
        if opening > Money::ZERO {
            let (op, kind) = (OpId::opening(account.id), ChargeKind::TopUp);
            let row = given(op, account.id, kind, opening, "Opening balance", now);
            turn.change.add_charge(&row).await?;
        }
        let number = account.number.unwrap_or_default();
        csv.push_str(&format!("{},{number},{pin}\n", account.name));
    }
    let kept = serde_json::json!({ "name": new.name, "count": new.count });
    let mut shown = kept.clone();
    shown["csv"] = csv.into();
    let answer = api.finish_once(turn, Touched::Directory, 201, &shown, &kept).await?;
    api.book_now().await;
    Ok(answer)
}

impl Api {
    /// Books what a command has just written down, so that it is there when it is answered; what
    /// fails now is booked by the job.
    pub(crate) async fn book_now(&self) {
        if let Err(error) = self.charge().await {
            tracing::error!(%error, "charges are not booked yet; tried again later");
        }
    }
}
