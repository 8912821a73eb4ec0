//! Routes of a snapshot, and their checks.

use std::sync::Arc;

use super::rows::RouteRow;
use super::{Directory, DirectoryError};
use crate::routing::RouteTarget;

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
