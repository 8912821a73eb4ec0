//! Two telephones, each behind a router of its own, at a Tandem on the open internet: over UDP, TCP
//! and TLS they register, call each other and a carrier, hold, resume, press keys and transfer.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::{CARRIER, FORGETS_AFTER_S, Home, Internet, TANDEM};
use crate::scenarios::stage::Stage;
use crate::softphones::baresip::{self, Baresip};
use crate::softphones::calls::{Scene, Steps, items};
use crate::softphones::linphone::{self, Linphone};
use crate::softphones::phone::{PATIENCE, Phone as _, Place, Transport, until};

/// How often Tandem asks telephones behind NAT, so that their routers do not forget them.
const KEEP_ALIVE_S: u64 = 1;

/// One step after the other; how many failed.
pub(super) fn all_steps(
    binary: &Path,
    dir: &Path,
    internet: &mut Internet,
) -> Result<usize, String> {
    let homes =
        [internet.home(Ipv4Addr::new(192, 168, 1, 0))?, internet.home(Ipv4Addr::new(10, 0, 0, 0))?];
    let mut tandem = super::start_tandem(binary, dir, KEEP_ALIVE_S)?;
    let stage = Stage::between(SocketAddr::new(TANDEM, 5060), CARRIER);
    let scene = Scene { tandem: &tandem, stage: &stage, dir };
    let mut steps = Steps::default();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        by(transport, &scene, &homes, &mut steps)?;
    }
    steps.done("the money adds up", scene.money_adds_up());
    steps.done("tshark reads the trace of all that", super::trace_is_read(&tandem));
    let ended = tandem.stop().and_then(|()| tandem.command("ledger check").map(drop));
    steps.done("Tandem ends, the ledger is in order", ended);
    println!("telephones behind NAT: {} passed, {} failed", steps.passed, steps.failed);
    if steps.failed > 0 {
        println!("{}", tandem.log_tail());
    }
    Ok(steps.failed)
}

fn by(
    transport: Transport,
    scene: &Scene<'_>,
    homes: &[Home; 2],
    steps: &mut Steps,
) -> Result<(), String> {
    let word = transport.word();
    let mut baresip = Baresip::start(&place(scene.dir, baresip::NUMBER, &homes[0], transport)?)?;
    let mut linphone = Linphone::start(&place(scene.dir, linphone::NUMBER, &homes[1], transport)?)?;
    let registered = scene.wait_for_registrations(2).and_then(|()| are_seen(scene, homes));
    steps.done(&format!("{word}: both register through their routers"), registered);
    if transport == Transport::Udp {
        steps.done("udp: both stay reachable when nothing is said", stay_reachable(homes));
    }
    let call = scene.held_by_the_caller(&mut baresip, &mut linphone);
    steps.done(&format!("{word}: baresip calls linphone; the caller holds and resumes"), call);
    let call = scene.held_by_the_called(&mut linphone, &mut baresip);
    steps.done(&format!("{word}: linphone calls baresip; the called holds and resumes"), call);
    let call = scene.call_the_carrier(&mut linphone);
    steps.done(&format!("{word}: linphone calls a carrier, holds and resumes"), call);
    let call = scene.keys_reach(&mut linphone, &mut baresip);
    steps.done(&format!("{word}: linphone calls baresip and presses a key, by INFO"), call);
    let call = scene.keys_reach_the_carrier(&mut linphone);
    steps.done(&format!("{word}: linphone calls a carrier and presses a key, by INFO"), call);
    let call = scene.cancelled(&mut baresip, &mut linphone);
    steps.done(&format!("{word}: baresip calls linphone and gives up"), call);
    let call = scene.transferred_to_the_carrier(&mut linphone, &mut baresip);
    steps.done(&format!("{word}: linphone calls baresip, who sends it on to a carrier"), call);
    let call = scene.transferred_to_the_carrier(&mut baresip, &mut linphone);
    steps.done(&format!("{word}: baresip calls linphone, who sends it on to a carrier"), call);
    let gone = baresip.quit().and_then(|()| linphone.quit());
    let gone = gone.and_then(|()| scene.wait_for_registrations(0));
    steps.done(&format!("{word}: both log off"), gone);
    Ok(())
}

fn place(dir: &Path, number: &str, home: &Home, transport: Transport) -> Result<Place, String> {
    let own = dir.join(format!("{number}-{}", transport.word()));
    fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    let port = if transport == Transport::Tls { 5061 } else { 5060 };
    Ok(Place {
        dir: own,
        namespace: Some(home.namespace.clone()),
        address: home.address,
        sip_port: 5060,
        rtp_port: 7000,
        control: SocketAddr::new(home.control, 4444),
        server: SocketAddr::new(TANDEM, port),
        transport,
        proxy: None,
        authority: Some(dir.join("authority.pem")),
    })
}

/// Tandem knows each telephone by its router's address, and that there is a router.
fn are_seen(scene: &Scene<'_>, homes: &[Home; 2]) -> Result<(), String> {
    let registrations = items(&scene.tandem.json("registrations")?);
    for home in homes {
        let from = format!("{}:", home.public);
        let is_from =
            |one: &&Value| one["address"].as_str().is_some_and(|at| at.starts_with(&from));
        match registrations.iter().find(is_from) {
            None => return Err(format!("     nobody registered from {from} {registrations:?}")),
            Some(one) if one["behind_nat"] != true => {
                return Err(format!("     is not taken to be behind NAT: {one}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// For longer than their routers remember, only Tandem's questions pass, and all of them get in. A way
/// that nobody keeps open is closed meanwhile.
fn stay_reachable(homes: &[Home; 2]) -> Result<(), String> {
    let mut doors = Vec::new();
    for home in homes {
        home.count()?;
        let door = UdpSocket::bind((CARRIER, 0)).map_err(|e| e.to_string())?;
        door.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        home.knock(door.local_addr().map_err(|e| e.to_string())?)?;
        let (_, outside) = door.recv_from(&mut [0; 64]).map_err(|e| format!("no knock: {e}"))?;
        door.connect(outside).map_err(|e| e.to_string())?;
        doors.push((home, door));
    }
    let (started, silence) = (Instant::now(), Duration::from_secs(2 * FORGETS_AFTER_S + 1));
    until("the routers would have forgotten", || Ok(started.elapsed() > silence))?;
    for (home, door) in doors {
        let (answers, strays) = (home.answers()?, home.strays()?);
        if answers < 2 * FORGETS_AFTER_S / KEEP_ALIVE_S || strays > 0 {
            return Err(format!(
                "     in {silence:?}, {answers} datagrams came in at {} and {strays} found nobody",
                home.public
            ));
        }
        door.send(b"too late").map_err(|e| e.to_string())?;
        until("the router has forgotten who knocked", || Ok(home.strays()? == 1))?;
    }
    Ok(())
}
