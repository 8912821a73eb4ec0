//! Number plans on the wire.

use serde::{Deserialize, Serialize};

/// A number plan; what is left out is the default.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    country: String,
    international: String,
    national: String,
    bare: Bare,
    tech_prefix: String,
    form: Form,
    rewrites: Vec<Rewrite>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bare {
    International,
    National,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Bare,
    Plus,
    International,
    National,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewrite {
    matches: String,
    #[serde(default)]
    strip: u8,
    #[serde(default)]
    prepend: String,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::from(&switch::routing::NumberPlan::default())
    }
}

impl From<&switch::routing::NumberPlan> for Plan {
    fn from(plan: &switch::routing::NumberPlan) -> Plan {
        use switch::routing::{BareNumber, EgressForm};
        let rewrites = plan.rewrites.iter().map(|rule| Rewrite {
            matches: rule.matches.clone(),
            strip: rule.strip,
            prepend: rule.prepend.clone(),
        });
        Plan {
            country: plan.country.clone(),
            international: plan.international.clone(),
            national: plan.national.clone(),
            bare: match plan.bare {
                BareNumber::International => Bare::International,
                BareNumber::National => Bare::National,
            },
            tech_prefix: plan.tech_prefix.clone(),
            form: match plan.form {
                EgressForm::Bare => Form::Bare,
                EgressForm::Plus => Form::Plus,
                EgressForm::International => Form::International,
                EgressForm::National => Form::National,
            },
            rewrites: rewrites.collect(),
        }
    }
}

impl From<Plan> for switch::routing::NumberPlan {
    fn from(plan: Plan) -> switch::routing::NumberPlan {
        use switch::routing::{BareNumber, EgressForm};
        let rewrites = plan.rewrites.into_iter().map(|rule| switch::routing::Rewrite {
            matches: rule.matches,
            strip: rule.strip,
            prepend: rule.prepend,
        });
        switch::routing::NumberPlan {
            country: plan.country,
            international: plan.international,
            national: plan.national,
            bare: match plan.bare {
                Bare::International => BareNumber::International,
                Bare::National => BareNumber::National,
            },
            tech_prefix: plan.tech_prefix,
            rewrites: rewrites.collect(),
            form: match plan.form {
                Form::Bare => EgressForm::Bare,
                Form::Plus => EgressForm::Plus,
                Form::International => EgressForm::International,
                Form::National => EgressForm::National,
            },
        }
    }
}
