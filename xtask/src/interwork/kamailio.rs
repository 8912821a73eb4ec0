//! Kamailio from Debian in front of Tandem, as the proxy that telephones register and call through,
//! and behind it, as the registrar and proxy of somebody else: Tandem registers there, calls fork to
//! two contacts there, and its users call out through Tandem.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::network::{CARRIER, EDGE, Internet, PBX, PHONES, TANDEM};
use crate::scenarios::scenario;
use crate::scenarios::stage::Stage;
use crate::scenarios::tandem::{self, Tandem};
use crate::softphones::baresip::{self, Baresip};
use crate::softphones::calls::{CHARGE_A_SECOND, COST_A_SECOND, Scene, Steps, give_up, items};
use crate::softphones::linphone::{self, Linphone};
use crate::softphones::phone::{Phone, Place, Running, Seen, Transport, in_namespace, until};

/// A number that two telephones at the PBX have registered, and who calls from there.
const GROUP: &str = "442079461111";
const USER: &str = "442079462222";
/// Rings, and answers when it is cancelled.
const ANSWERS_LATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/interwork/uas-answers-late.xml");
/// What the PBX takes as a carrier: that of the sheet of the world's carrier B.
const PBX_COST_A_SECOND: u64 = 7_500;
/// How Tandem is called at the PBX.
const OURSELVES: &str = "tandem";

/// One step after the other; how many failed.
pub(super) fn all_steps(binary: &Path, dir: &Path, internet: &Internet) -> Result<usize, String> {
    let mut tandem = super::start_tandem(binary, dir, 25)?;
    let kamailio = start(dir, internet)?;
    let stage = Stage::between(SocketAddr::new(TANDEM, 5060), CARRIER);
    let scene = Scene { tandem: &tandem, stage: &stage, dir };
    let mut steps = Steps::default();
    steps.done("Tandem registers at Kamailio", connect_pbx(&tandem));
    in_front(&scene, &mut steps)?;
    let call = calls_out(&scene);
    steps.done("a user of the PBX behind Tandem calls a carrier, holds and resumes", call);
    steps.done("the money adds up", scene.money_adds_up());
    steps.done("tshark reads the trace of all that", super::trace_is_read(&tandem));
    drop(kamailio);
    let ended = tandem.stop().and_then(|()| tandem.command("ledger check").map(drop));
    steps.done("Tandem ends, the ledger is in order", ended);
    println!("Kamailio: {} passed, {} failed", steps.passed, steps.failed);
    if steps.failed > 0 {
        println!("{}", tandem.log_tail());
    }
    Ok(steps.failed)
}

fn start(dir: &Path, internet: &Internet) -> Result<Running, String> {
    let config = include_str!("kamailio.cfg")
        .replace("TANDEM", &TANDEM.to_string())
        .replace("EDGE:", &format!("{EDGE}:"))
        .replace("PBX:", &format!("{PBX}:"))
        .replace("\"PBX\"", &format!("\"{PBX}\""))
        .replace("SECRET", &tandem::password(""));
    let file = dir.join("kamailio.cfg");
    fs::write(&file, config).map_err(|e| format!("{}: {e}", file.display()))?;
    let log = File::create(dir.join("kamailio.log")).map_err(|e| e.to_string())?;
    let namespace = internet.host("kamailio", &[EDGE, PBX])?;
    let child = in_namespace(Some(&namespace), "kamailio")
        .args(["-DD", "-E", "-m", "16", "-M", "4", "-f"])
        .arg(&file)
        .arg("-w")
        .arg(dir)
        .arg("-Y")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|e| e.to_string())?)
        .stderr(log)
        .spawn()
        .map_err(|e| format!("cannot start kamailio (Debian package kamailio): {e}"))?;
    let mut running = Running(child);
    until("Kamailio takes connections", || {
        if let Ok(Some(status)) = running.0.try_wait() {
            let log = fs::read_to_string(dir.join("kamailio.log")).unwrap_or_default();
            return Err(format!("kamailio ended at once: {status}\n{log}"));
        }
        Ok(std::net::TcpStream::connect((EDGE, 5060)).is_ok())
    })?;
    Ok(running)
}

fn in_front(scene: &Scene<'_>, steps: &mut Steps) -> Result<(), String> {
    let mut baresip = Baresip::start(&place(scene.dir, baresip::NUMBER, PHONES[0])?)?;
    let mut linphone = Linphone::start(&place(scene.dir, linphone::NUMBER, PHONES[1])?)?;
    let registered = scene.wait_for_registrations(2).and_then(|()| came_through(scene));
    steps.done("both register through Kamailio (Path)", registered);
    let call = scene.held_by_the_caller(&mut baresip, &mut linphone);
    steps.done("baresip calls linphone through Kamailio; the caller holds and resumes", call);
    let call = scene.held_by_the_called(&mut linphone, &mut baresip);
    steps.done("linphone calls baresip through Kamailio; the called holds and resumes", call);
    let call = scene.call_the_carrier(&mut linphone);
    steps.done("linphone calls a carrier through Kamailio, holds and resumes", call);
    let call = scene.keys_reach(&mut linphone, &mut baresip);
    steps.done("linphone presses a key, by INFO", call);
    let call = scene.cancelled(&mut baresip, &mut linphone);
    steps.done("baresip calls linphone and gives up: CANCEL", call);
    let call = scene.transferred_to_the_carrier(&mut linphone, &mut baresip);
    steps.done("linphone calls baresip, who sends it on to a carrier: REFER", call);
    let call = answered_by_one(scene, &mut baresip);
    steps.done("a call forks behind Tandem: one answers, the other is cancelled", call);
    let call = answered_by_both(scene, &mut linphone);
    steps.done("a call forks behind Tandem: both answer, the second is released", call);
    let gone = baresip.quit().and_then(|()| linphone.quit());
    steps.done("both log off", gone.and_then(|()| scene.wait_for_registrations(0)));
    Ok(())
}

/// Tandem has the telephones at Kamailio's address, and not behind NAT.
fn came_through(scene: &Scene<'_>) -> Result<(), String> {
    let from = format!("{EDGE}:");
    for one in items(&scene.tandem.json("registrations")?) {
        let address = one["address"].as_str().unwrap_or_default();
        if !address.starts_with(&from) || one["transport"] != "tcp" || one["behind_nat"] != false {
            return Err(format!("     did not come through Kamailio by TCP: {one}"));
        }
    }
    Ok(())
}

/// Two telephones register at the PBX under one name.
fn group_registers(scene: &Scene<'_>) -> Result<(), String> {
    let stage = scene.stage;
    let contacts = format!("{};{}", stage.port("callee"), stage.port("second"));
    let users = users(scene, GROUP, &contacts)?;
    let at = SocketAddr::new(PBX, 5060);
    scene.start("19.forked-200s/register.xml", "caller2", at, &["-inf", &users])?.finish()
}

/// The injection file of one user of the PBX.
fn users(scene: &Scene<'_>, user: &str, fields: &str) -> Result<String, String> {
    let password = tandem::password(user);
    let file = scene.dir.join(format!("{user}.csv"));
    let line = format!(
        "SEQUENTIAL\n{user};[authentication username={user} password={password}];\
         [authentication username={user} password=wrong];{fields}\n"
    );
    fs::write(&file, line).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(file.display().to_string())
}

/// Both ring; Kamailio cancels the one that does not answer.
fn answered_by_one(scene: &Scene<'_>, caller: &mut dyn Phone) -> Result<(), String> {
    forks(scene, caller, ["10.caller-hangs-up/uas.xml", "12.cancel-while-ringing/uas.xml"])
}

/// The second answers although Kamailio has cancelled it: two answers come to Tandem, in two
/// dialogs (RFC 3261 section 13.2.2.4).
fn answered_by_both(scene: &Scene<'_>, caller: &mut dyn Phone) -> Result<(), String> {
    forks(scene, caller, ["19.forked-200s/uas.xml", ANSWERS_LATE])
}

fn forks(scene: &Scene<'_>, caller: &mut dyn Phone, scripts: [&str; 2]) -> Result<(), String> {
    group_registers(scene)?;
    let mut first = scene.answering(scripts[0], "callee")?;
    let mut second = scene.answering(scripts[1], "second")?;
    let talk = caller.dial(GROUP).and_then(|()| {
        caller.wait(Seen::Talking)?;
        let started = Instant::now();
        // Before the caller is done, what the fork has left over must be gone.
        second.finish()?;
        caller.hang_up()?;
        caller.wait(Seen::Ended)?;
        Ok(started.elapsed())
    });
    let talked = talk.map_err(|why| give_up(why, &mut [caller]))?;
    first.finish()?;
    let prices = [CHARGE_A_SECOND, PBX_COST_A_SECOND];
    scene.check_cdrs(caller.number(), GROUP, talked, "caller", prices)
}

/// The script of the caller holds and resumes by itself and hangs up after a second and a half.
fn calls_out(scene: &Scene<'_>) -> Result<(), String> {
    let users = users(scene, USER, "")?;
    let mut carrier = scene.carrier("42.hold-and-resume/uas.xml")?;
    let args = ["-inf", &users, "-s", scenario::CLD];
    let started = Instant::now();
    let at = SocketAddr::new(PBX, 5060);
    scene.start("42.hold-and-resume/uac.xml", "caller", at, &args)?.finish()?;
    let talked = started.elapsed();
    carrier.finish()?;
    scene.check_cdrs(USER, scenario::CLD, talked, "caller", [CHARGE_A_SECOND, COST_A_SECOND])
}

/// Makes the PBX known, and waits until Kamailio has let us register there.
fn connect_pbx(tandem: &Tandem) -> Result<(), String> {
    let password = tandem::password(OURSELVES);
    for line in [
        "account add pbx --postpaid --credit-limit 100 --rate-group standard \
         --carrier-rate-group cost-b"
            .to_string(),
        format!(
            "trunk add pbx --account pbx --host {PBX} --port 5060 --transport udp --address {PBX}"
        ),
        format!("route add {GROUP} --trunk pbx"),
        format!(
            "trunk set pbx --egress-username {OURSELVES} --egress-password {password} \
             --registers yes"
        ),
    ] {
        tandem.command(&line)?;
    }
    until("Tandem is registered at Kamailio", || {
        let trunks = items(&tandem.json("trunk status")?);
        Ok(trunks.iter().any(|one| one.to_string().contains("\"registered\"")))
    })
}

fn place(dir: &Path, number: &str, address: IpAddr) -> Result<Place, String> {
    let own = dir.join(number);
    fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    Ok(Place {
        dir: own,
        namespace: None,
        address,
        sip_port: 5060,
        rtp_port: 7000,
        control: SocketAddr::new(address, 4444),
        server: SocketAddr::new(TANDEM, 5060),
        transport: Transport::Udp,
        proxy: Some(SocketAddr::new(EDGE, 5060)),
        authority: None,
    })
}
