//! The certificates of our listeners and of trunks, from the command to the snapshot (S1, S8).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use api::Certificate;
use serde_json::{Value, json};
use vocabulary::{TrunkId, Utc};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(certificates_are_listed_and_a_bad_one_is_told, a_trunk_has_certificates);

async fn certificates_are_listed_and_a_bad_one_is_told(backend: Backend) {
    let world = world(backend).await;
    assert_eq!(world.get("/status").await["certificates"], json!([]));
    let now = world.control.now_utc();
    let own = Certificate {
        listener: "tls 0.0.0.0:5061".into(),
        file: "own.pem".into(),
        domains: vec!["sip.example".into()],
        valid_from: now,
        expires_at: Utc(now.0 + 30 * 86_400_000_000),
        problem: None,
    };
    *world.control.certificates.lock().unwrap() = vec![own.clone()];
    let listed = world.get("/tls/certificates").await;
    assert_eq!(listed["items"][0]["days_left"], 30, "{listed}");
    assert_eq!(listed["items"][0]["domains"], json!(["sip.example"]));
    let (status, reloaded) = world.ask("POST", "/tls/reload", None, "{}".into()).await;
    assert_eq!((status, &reloaded), (200, &listed));

    let problem = Some("own.pem: no certificate in it".into());
    *world.control.certificates.lock().unwrap() = vec![Certificate { problem, ..own }];
    let (status, refused) = world.ask("POST", "/tls/reload", None, "{}".into()).await;
    assert_eq!((status, &refused["type"]), (422, &json!("urn:tandem:problem:certificate_refused")));
    let words = "tls 0.0.0.0:5061: own.pem: no certificate in it; the one in use stays";
    assert_eq!(refused["detail"], words);
    let told = world.get("/status").await["certificates"][0].as_str().unwrap().to_owned();
    assert!(told.ends_with(", not renewed: own.pem: no certificate in it"), "{told}");
}

async fn a_trunk_has_certificates(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let new = |name: &str| json!({"name": name, "account": "alice", "host": "192.0.2.9"});
    let id = TrunkId(world.made("/trunks", new("out")).await["id"].as_u64().unwrap());
    world.made("/trunks", new("other")).await;
    let path = "/trunks/out/tls";
    let nothing = json!({
        "certificate_names": [], "client_certificate": null,
        "client_certificate_domains": [], "client_certificate_expires_at": null,
    });
    assert_eq!(world.get(path).await, nothing);
    let patch =
        async |path: &str, body: Value| world.ask("PATCH", path, None, body.to_string()).await;
    let (status, set) = patch(path, json!({"certificate_names": ["SIP.Carrier.example"]})).await;
    assert_eq!((status, &set["certificate_names"]), (200, &json!(["sip.carrier.example"])));
    let row = |world: &World| world.control.snapshot().directory.trunk(id).unwrap().clone();
    assert_eq!(row(&world).ingress.certificate_names, ["sip.carrier.example".into()]);

    let pem = "-----BEGIN CERTIFICATE-----";
    let (status, _) = patch(path, json!({"client_certificate": pem, "client_key": "secret"})).await;
    assert_eq!(status, 200);
    let shown = world.get(path).await;
    assert_eq!(shown["client_certificate_domains"], json!(["sip.example"]));
    assert!(!shown.to_string().contains("secret"), "{shown}");
    let ours = row(&world).client_certificate.unwrap();
    assert_eq!((&*ours.chain, &*ours.key), (pem, "secret"));

    for (path, body, words) in [
        (path, json!({"client_certificate": "x", "client_key": "k"}), "no certificate in it"),
        (path, json!({"client_certificate": pem}), "give both"),
        (path, json!({"client_key": "k"}), "give both"),
        (path, json!({"certificate_names": ["a b"]}), "is no name of a certificate"),
        (
            "/trunks/other/tls",
            json!({"certificate_names": ["sip.carrier.example"]}),
            "both have a certificate for sip.carrier.example",
        ),
        (
            "/trunks/other/tls",
            json!({"client_certificate": pem, "client_key": "another"}),
            "get different certificates of ours",
        ),
    ] {
        let (status, refused) = patch(path, body.clone()).await;
        assert!((400..500).contains(&status), "{body}: {status}");
        assert!(refused.to_string().contains(words), "{body}: {refused}");
    }
    let (status, _) =
        patch(path, json!({"certificate_names": [], "client_certificate": null})).await;
    assert_eq!((status, world.get(path).await), (200, nothing));
    assert_eq!(row(&world).client_certificate, None);
}
