//! Two real telephones of different make, baresip and linphone from Debian, against a fresh Tandem:
//! they register, call each other both ways and a carrier (SIPp), hold, resume and hang up, and at
//! the end they log off. After each call its CDRs are compared with what the telephones did.
//! Neither needs a sound card: baresip sends back what it hears, linphone plays a file.

pub(crate) mod baresip;
pub(crate) mod calls;
pub(crate) mod linphone;
pub(crate) mod phone;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::scenarios::scenario::Setup;
use crate::scenarios::stage::Stage;
use crate::scenarios::tandem::{self, Tandem};
use baresip::Baresip;
use calls::{Scene, Steps};
use linphone::Linphone;
use phone::{Phone as _, Place, Transport};

const USAGE: &str = "usage: cargo xtask softphones [--binary PATH] [--keep]";
const BASE_PORT: u16 = 20_700;

/// Runs all of it; the closing line counts passed and failed.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
    let mut binary = Path::new(&target).join("release/tandem");
    let mut keep = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--binary" => binary = args.next().ok_or(USAGE)?.into(),
            "--keep" => keep = true,
            _ => return Err(USAGE.to_string()),
        }
    }
    let dir = std::env::temp_dir().join(format!("tandem-softphones-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = all_steps(&binary, &dir);
    if keep {
        println!("kept {}", dir.display());
    } else {
        let _ = fs::remove_dir_all(&dir);
    }
    let failed = outcome?;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} steps with softphones failed")) }
}

/// One step after the other; how many failed.
fn all_steps(binary: &Path, dir: &Path) -> Result<usize, String> {
    let mut tandem = Tandem::start(binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    for user in [baresip::NUMBER, linphone::NUMBER] {
        let password = tandem::password(user);
        tandem.command(&format!(
            "subscriber add {user} --account retail --password {password} --number {user}"
        ))?;
    }
    let mut baresip = Baresip::start(&place(dir, "baresip", 20)?)?;
    let mut linphone = Linphone::start(&place(dir, "linphone", 50)?)?;
    let stage = Stage::loopback(BASE_PORT);
    let scene = Scene { tandem: &tandem, stage: &stage, dir };
    let mut steps = Steps::default();
    steps.done("both register", scene.wait_for_registrations(2));
    let call = scene.held_by_the_caller(&mut baresip, &mut linphone);
    steps.done("baresip calls linphone; the caller holds, resumes and hangs up", call);
    let call = scene.held_by_the_caller(&mut linphone, &mut baresip);
    steps.done("linphone calls baresip; the caller holds, resumes and hangs up", call);
    let call = scene.held_by_the_called(&mut baresip, &mut linphone);
    steps.done("baresip calls linphone; the called holds, resumes and hangs up", call);
    let call = scene.held_by_the_called(&mut linphone, &mut baresip);
    steps.done("linphone calls baresip; the called holds, resumes and hangs up", call);
    let call = scene.call_the_carrier(&mut baresip);
    steps.done("baresip calls a carrier, holds, resumes and hangs up", call);
    let call = scene.call_the_carrier(&mut linphone);
    steps.done("linphone calls a carrier, holds, resumes and hangs up", call);
    steps.done("the money adds up", scene.money_adds_up());
    let gone = baresip.quit().and_then(|()| linphone.quit());
    steps.done("both log off", gone.and_then(|()| scene.wait_for_registrations(0)));
    let ended = tandem.stop().and_then(|()| tandem.command("ledger check").map(drop));
    steps.done("Tandem ends, the ledger is in order", ended);
    println!("softphones: {} passed, {} failed", steps.passed, steps.failed);
    if steps.failed > 0 {
        println!("{}", tandem.log_tail());
    }
    Ok(steps.failed)
}

fn place(dir: &Path, name: &str, offset: u16) -> Result<Place, String> {
    let dir = dir.join(name);
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let sip_port = BASE_PORT + offset;
    Ok(Place {
        dir,
        namespace: None,
        address,
        sip_port,
        // baresip takes the port after its SIP port for TLS.
        control: SocketAddr::new(address, sip_port + 2),
        rtp_port: sip_port + 4,
        server: SocketAddr::new(address, BASE_PORT),
        transport: Transport::Udp,
        proxy: None,
        authority: None,
    })
}
