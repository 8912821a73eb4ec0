//! The taxes of an amount as JSON: in postings, in charges that wait, in the terms of a CDR's rate
//! (R13). Equal taxes are equal texts, so that sums can be grouped by them.

use std::sync::Arc;

use billing::{AppliedTax, AppliedTaxes, PostingTax, TaxRate, TaxedPrice};
use serde::{Deserialize, Serialize};

use crate::directory::words;
use crate::sql::Row;

words!(
    /// How an amount stands to its taxes.
    Prices {
        /// It was stated with them.
        Included = "included",
        /// They were added when it was charged.
        WithCharge = "with_charge",
        /// A statement adds them.
        OnStatement = "on_statement",
    }
);

impl From<TaxedPrice> for Prices {
    fn from(prices: TaxedPrice) -> Prices {
        match prices {
            TaxedPrice::Included => Prices::Included,
            TaxedPrice::WithCharge => Prices::WithCharge,
            TaxedPrice::OnStatement => Prices::OnStatement,
        }
    }
}

impl From<Prices> for TaxedPrice {
    fn from(prices: Prices) -> TaxedPrice {
        match prices {
            Prices::Included => TaxedPrice::Included,
            Prices::WithCharge => TaxedPrice::WithCharge,
            Prices::OnStatement => TaxedPrice::OnStatement,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    prices: String,
    taxes: Vec<WrittenTax>,
}

#[derive(Serialize, Deserialize)]
struct WrittenTax {
    name: String,
    percent: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    compound: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exempt: Option<String>,
}

/// As JSON.
pub fn written(taxes: &AppliedTaxes) -> String {
    let written = Written {
        prices: Prices::from(taxes.prices()).as_str().to_owned(),
        taxes: taxes.taxes().iter().map(tax).collect(),
    };
    serde_json::to_string(&written).expect("plain values are always JSON")
}

fn tax(tax: &AppliedTax) -> WrittenTax {
    WrittenTax {
        name: tax.name.clone(),
        percent: tax.rate.to_string(),
        compound: tax.is_compound,
        exempt: tax.exempt.clone(),
    }
}

/// The inverse; says what is wrong with a text that nothing of ours has written.
pub fn read(text: &str) -> Result<Arc<AppliedTaxes>, String> {
    let Written { prices, taxes } =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let tax = |tax: WrittenTax| {
        let rate: TaxRate = tax.percent.parse().map_err(|error| format!("{error}"))?;
        let WrittenTax { name, compound: is_compound, exempt, .. } = tax;
        Ok::<_, String>(AppliedTax { name, rate, is_compound, exempt })
    };
    let taxes = taxes.into_iter().map(tax).collect::<Result<Vec<_>, _>>()?;
    let prices: Prices = prices.parse()?;
    AppliedTaxes::new(prices.into(), taxes).map(Arc::new).map_err(|error| error.to_string())
}

/// The column `taxes` of a row.
pub(crate) fn of_row(row: &Row) -> Result<Option<Arc<AppliedTaxes>>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<String>, _>("taxes")? else { return Ok(None) };
    let corrupt = |what: String| sqlx::Error::Decode(format!("column taxes: {what}").into());
    read(&text).map(Some).map_err(corrupt)
}

/// The columns `tax` and `taxes` of a row.
pub(crate) fn posting_tax(row: &Row) -> Result<Option<PostingTax>, sqlx::Error> {
    let Some(taxes) = of_row(row)? else { return Ok(None) };
    Ok(Some(PostingTax { contained: billing::Money(row.try_get("tax")?), taxes }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"{"prices":"with_charge","taxes":[{"name":"GST","percent":"5"},{"name":"QST","percent":"9.975","compound":true,"exempt":"a \"status\" card"}]}"#;
        assert_eq!(written(&read(text).unwrap()), text);
        assert!(read(r#"{"prices":"sometimes","taxes":[]}"#).unwrap_err().contains("sometimes"));
        let wrong = r#"{"prices":"included","taxes":[{"name":"VAT","percent":"-1"}]}"#;
        assert!(read(wrong).unwrap_err().contains("-1"));
    }
}
