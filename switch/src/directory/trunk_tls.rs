//! Certificates of trunks, theirs and ours for them, in a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use vocabulary::TrunkId;

use super::rows::TrunkRow;
use super::{Directory, DirectoryError};

/// A certificate that cannot be used as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Two trunks with one certificate.
    #[error("trunks {first} and {second} both have a certificate for {name}")]
    Twice {
        /// The name in it.
        name: Box<str>,
        /// One trunk.
        first: TrunkId,
        /// The other.
        second: TrunkId,
    },
    /// A name that no certificate has.
    #[error("trunk {trunk}: {name:?} is no name of a certificate: write a host name in lower case")]
    Name {
        /// Which trunk.
        trunk: TrunkId,
        /// What was written.
        name: Box<str>,
    },
    /// Trunks at one host share their connections.
    #[error(
        "trunks {first} and {second} are at the same host and get different certificates of ours"
    )]
    Differ {
        /// One trunk.
        first: TrunkId,
        /// The other.
        second: TrunkId,
    },
}

/// Those of all trunks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TrunkCertificates {
    /// By the names in theirs.
    pub(super) names: BTreeMap<Box<str>, TrunkId>,
    /// Trunks that get to see one of ours, in the order of their ids.
    pub(super) presenting: Vec<TrunkId>,
}

/// Puts a trunk's certificates in, and says what is wrong with them.
pub(super) fn add_tls(directory: &mut Directory, row: &TrunkRow, faults: &mut Vec<DirectoryError>) {
    let trunk = row.id;
    for name in &row.ingress.certificate_names {
        if !is_host(name) {
            faults.push(CertificateError::Name { trunk, name: name.clone() }.into());
        }
        let certificates = Arc::make_mut(&mut directory.certificates);
        if let Some(first) = certificates.names.insert(name.clone(), trunk) {
            let name = name.clone();
            faults.push(CertificateError::Twice { name, first, second: trunk }.into());
        }
    }
    let Some(ours) = &row.client_certificate else { return };
    let same_host = |other: &&TrunkRow| other.host.eq_ignore_ascii_case(&row.host);
    let differs =
        directory.presenting_trunks().find(|(other, its)| same_host(other) && *its != ours);
    if let Some((other, _)) = differs {
        faults.push(CertificateError::Differ { first: other.id, second: trunk }.into());
    }
    let presenting = &mut Arc::make_mut(&mut directory.certificates).presenting;
    presenting.push(trunk);
    presenting.sort_unstable();
}

/// Takes out what the trunk had.
pub(super) fn forget_tls(directory: &mut Directory, row: &TrunkRow) {
    if row.ingress.certificate_names.is_empty() && row.client_certificate.is_none() {
        return;
    }
    let certificates = Arc::make_mut(&mut directory.certificates);
    certificates.names.retain(|_, trunk| *trunk != row.id);
    certificates.presenting.retain(|trunk| *trunk != row.id);
}

fn is_host(name: &str) -> bool {
    let is_sign =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    !name.is_empty() && name.bytes().all(is_sign)
}

#[cfg(test)]
mod tests {
    use vocabulary::AccountId;

    use super::*;
    use crate::directory::{AccountRow, ClientCertificate, DirectoryBuilder, Settings};

    fn trunk(id: u64, names: &[&str], ours: Option<&str>) -> TrunkRow {
        let mut row = TrunkRow::new(TrunkId(id), &format!("t{id}"), AccountId(1));
        row.host = "carrier.example".into();
        row.ingress.certificate_names = names.iter().map(|name| (*name).into()).collect();
        let certificate =
            |chain: &str| Arc::new(ClientCertificate { chain: chain.into(), key: "k".into() });
        row.client_certificate = ours.map(certificate);
        row
    }

    fn build(trunks: &[TrunkRow]) -> Result<Directory, Vec<DirectoryError>> {
        let mut builder = DirectoryBuilder::new(Settings::default(), 7);
        builder = builder.account(AccountRow::new(AccountId(1), "carrier"));
        trunks.iter().cloned().fold(builder, DirectoryBuilder::trunk).build()
    }

    #[track_caller]
    fn check(trunks: &[TrunkRow], expected: &str) {
        let faults: Vec<String> = match build(trunks) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(faults.join("; "), expected);
    }

    #[test]
    fn certificates_are_checked() {
        check(&[trunk(1, &["a.example", "b.example"], Some("x")), trunk(2, &[], Some("x"))], "");
        check(
            &[trunk(1, &["a.example"], None), trunk(2, &["a.example"], None)],
            "trunks 1 and 2 both have a certificate for a.example",
        );
        check(
            &[trunk(1, &["A b"], None)],
            "trunk 1: \"A b\" is no name of a certificate: write a host name in lower case",
        );
        check(
            &[trunk(1, &[], Some("x")), trunk(2, &[], Some("y"))],
            "trunks 1 and 2 are at the same host and get different certificates of ours",
        );
    }

    /// A changed trunk leaves nothing of what it was.
    #[test]
    fn a_trunk_that_changes_is_the_same_as_one_that_came_so() {
        let before = build(&[trunk(1, &["a.example"], Some("x")), trunk(2, &["c.example"], None)]);
        let now = trunk(1, &["b.example"], None);
        let after = before.unwrap().change().without_trunk(TrunkId(1)).trunk(now.clone()).build();
        let after = after.unwrap();
        assert!(after == build(&[now, trunk(2, &["c.example"], None)]).unwrap());
        assert!(after.trunk_by_certificate(&["a.example".into()]).is_none());
        let found = after.trunk_by_certificate(&["x.example".into(), "b.example".into()]);
        assert_eq!(found.map(|(row, name)| (row.id, name)), Some((TrunkId(1), "b.example")));
    }
}
