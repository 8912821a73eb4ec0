//! Routes of a snapshot, and their checks.

use std::sync::Arc;

use vocabulary::TrunkId;

use super::rows::RouteRow;
use super::{Directory, DirectoryError};
use crate::quality::QualityRule;
use crate::routing::RouteTarget;

impl Directory {
    /// The prefixes under which the calls over this trunk are judged by a rule, in order.
    pub fn judged_prefixes(&self, trunk: TrunkId, rule: &QualityRule) -> Vec<String> {
        let mut judged = Vec::new();
        for (prefix, targets) in self.routes.prefixes() {
            if !targets.iter().any(|target| target.trunk == trunk) {
                continue;
            }
            if rule.prefix.starts_with(&prefix) {
                judged.push(rule.prefix.to_string());
            } else if prefix.starts_with(&*rule.prefix) {
                let is_all = !rule.is_by_route;
                judged.push(if is_all { rule.prefix.to_string() } else { prefix });
            }
        }
        judged.sort_unstable();
        judged.dedup();
        judged
    }
}

pub(super) fn add_route(
    directory: &mut Directory,
    row: RouteRow,
    faults: &mut Vec<DirectoryError>,
) {
    let target = RouteTarget::of(&row);
    let RouteRow { prefix, trunk, window, .. } = row;
    match directory.trunks.get(&trunk) {
        None => return faults.push(DirectoryError::RouteTrunk { prefix, trunk }),
        Some(row) if row.host.is_empty() => {
            return faults.push(DirectoryError::RouteWithoutHost { prefix, trunk });
        }
        Some(_) => {}
    }
    if let Some(window) = window.filter(|id| !directory.time_windows.contains_key(id)) {
        return faults.push(DirectoryError::RouteWindow { prefix, window });
    }
    if let Some((length, targets)) = directory.routes.find(prefix.as_bytes())
        && length == prefix.len()
        && targets.iter().any(|target| target.trunk == trunk)
    {
        return faults.push(DirectoryError::RouteTwice { prefix, trunk });
    }
    if !Arc::make_mut(&mut directory.routes).add(&prefix, target) {
        faults.push(DirectoryError::RoutePrefix(prefix));
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::AccountId;

    use super::*;
    use crate::directory::{AccountRow, DirectoryBuilder, Settings, TrunkRow};
    use crate::quality::{Demands, QualityRuleId};

    #[test]
    fn calls_are_judged_by_the_prefixes_of_the_trunks_routes() {
        // T4
        let trunk =
            |id| TrunkRow { host: "h".into(), ..TrunkRow::new(TrunkId(id), "t", AccountId(1)) };
        let mut builder = DirectoryBuilder::new(Settings::default(), 1)
            .account(AccountRow::new(AccountId(1), "a"))
            .trunk(trunk(1))
            .trunk(trunk(2));
        for (prefix, trunk) in [("4", 1), ("44", 1), ("4420", 1), ("49", 1), ("4479", 2)] {
            builder = builder.route(RouteRow::new(prefix, TrunkId(trunk), 1));
        }
        let directory = builder.build().unwrap();
        let judged = |prefix: &str, is_by_route| {
            let (id, prefix, demands) = (QualityRuleId(1), prefix.into(), Demands::default());
            let rule = QualityRule { id, trunk: None, prefix, is_by_route, demands };
            directory.judged_prefixes(TrunkId(1), &rule)
        };
        assert_eq!(judged("44", true), ["44", "4420"]);
        assert_eq!(judged("44", false), ["44"]);
        assert_eq!(judged("447", true), ["447"]);
        assert_eq!(judged("", true), ["4", "44", "4420", "49"]);
        assert_eq!(judged("33", true), [""; 0]);
    }
}
