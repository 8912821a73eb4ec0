//! Where a scenario is played: against which switch, from which address and ports, and who the
//! phones of the world are there.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::Path;

use serde::Deserialize;

use super::scenario::{self, Sipp};

/// In an injection file: a PASSporT comes here.
pub(super) const PASSPORT: &str = "{passport}";
/// The first port of a stage that nobody has chosen.
pub(crate) const PORT_FIRST: u16 = 21_000;

/// Which credentials the phones of the world have unless the stage says otherwise. Everybody can
/// read them here, so a switch that others reach needs passwords of its own.
pub(crate) fn password(user: &str) -> String {
    format!("{user}-Kq7wz2Lx9")
}

/// Who a phone of the world is on this stage.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Phone {
    /// The subscriber's or trunk's user name, if it is not that of the world.
    pub(crate) username: Option<String>,
    /// Its password, if it is not that of the world.
    pub(crate) password: Option<String>,
}

/// A stage as options and a file write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// `host:port` of a Tandem that is running already.
    pub(crate) target: Option<String>,
    /// `host:port` of its TLS listener; default: the target's host, port 5061.
    tls: Option<String>,
    /// The address to play from; default: that of the route to the target.
    local: Option<IpAddr>,
    /// The first of twenty ports to play from.
    ports: Option<u16>,
    /// What is dialled instead of the world's number.
    called: Option<String>,
    phones: BTreeMap<String, Phone>,
}

/// A stage as used.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// The switch, `address:port`.
    pub(crate) target: SocketAddr,
    tls: SocketAddr,
    /// Where SIPp listens and calls from.
    pub(crate) local: IpAddr,
    base: u16,
    called: String,
    phones: BTreeMap<String, Phone>,
}

impl Wanted {
    /// Takes the option if it is one of the stage's; `value` gives what follows it.
    pub(crate) fn take<'a>(
        &mut self,
        option: &str,
        value: &mut dyn FnMut() -> Result<&'a str, String>,
    ) -> Result<bool, String> {
        match option {
            "--target" => self.target = Some(value()?.into()),
            "--tls" => self.tls = Some(value()?.into()),
            "--called" => self.called = Some(value()?.into()),
            "--local" => {
                let text = value()?;
                let address = text.parse();
                self.local = Some(address.map_err(|_| format!("--local {text}: an IP address"))?);
            }
            "--ports" => {
                let text = value()?;
                let first = text.parse().ok().filter(|first| *first <= u16::MAX - 20);
                self.ports = Some(first.ok_or_else(|| format!("--ports {text}: a port number"))?);
            }
            "--phone" => {
                let text = value()?;
                let split = text.split_once('=').and_then(|(name, phone)| {
                    let (username, password) = phone.split_once(':')?;
                    Some((name, username, password))
                });
                let Some((name, username, password)) = split else {
                    return Err(format!("--phone {text}: write 1001=USERNAME:PASSWORD"));
                };
                let phone =
                    Phone { username: Some(username.into()), password: Some(password.into()) };
                self.phones.insert(name.into(), phone);
            }
            "--stage" => {
                let path = value()?;
                let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
                *self = toml::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Looks up names and the route.
    pub(crate) fn set(&self) -> Result<Stage, String> {
        let target = self.target.as_deref().unwrap_or("127.0.0.1:5060");
        let target = resolved(target, "--target")?;
        let tls = match &self.tls {
            Some(tls) => resolved(tls, "--tls")?,
            None => SocketAddr::new(target.ip(), 5061),
        };
        let local = match self.local {
            Some(local) => local,
            None => towards(target).map_err(|e| format!("no route to {target}: {e}"))?,
        };
        let base = self.ports.unwrap_or(PORT_FIRST);
        let called = self.called.clone().unwrap_or_else(|| scenario::CLD.into());
        Ok(Stage { target, tls, local, base, called, phones: self.phones.clone() })
    }
}

fn resolved(host: &str, option: &str) -> Result<SocketAddr, String> {
    let mut found = host.to_socket_addrs().map_err(|e| format!("{option} {host}: {e}"))?;
    found.next().ok_or_else(|| format!("{option} {host}: no address"))
}

/// The address that the route to `target` leaves from. Nothing is sent.
fn towards(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

impl Stage {
    /// A Tandem of our own whose first port is `base`.
    pub(crate) fn loopback(base: u16) -> Stage {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let on = |name| SocketAddr::new(local, scenario::port(base, name));
        Stage {
            target: on("sip"),
            tls: on("tls"),
            local,
            base,
            called: scenario::CLD.into(),
            phones: BTreeMap::new(),
        }
    }

    /// A Tandem at `target`, played with from another address of this machine.
    pub(crate) fn between(target: SocketAddr, local: IpAddr) -> Stage {
        let tls = SocketAddr::new(target.ip(), 5061);
        Stage { target, tls, local, ..Stage::loopback(PORT_FIRST) }
    }

    /// The port of this name.
    pub(crate) fn port(&self, name: &str) -> u16 {
        scenario::port(self.base, name)
    }

    /// The TLS listener.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The local address as in a URI.
    pub(crate) fn local_host(&self) -> String {
        match self.local {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        }
    }

    /// What this phone of the world is called here.
    pub(crate) fn username(&self, user: &str) -> String {
        let phone = self.phones.get(user).and_then(|phone| phone.username.clone());
        phone.unwrap_or_else(|| user.into())
    }

    /// And its password.
    pub(crate) fn password(&self, user: &str) -> String {
        let phone = self.phones.get(user).and_then(|phone| phone.password.clone());
        phone.unwrap_or_else(|| password(user))
    }

    /// What the scenario dials: a phone of the world, a number, or if it says nothing the usual one.
    pub(crate) fn called(&self, service: Option<&str>) -> String {
        service.map_or_else(|| self.called.clone(), |service| self.username(service))
    }

    /// user;good credentials;wrong credentials;what else the script asks for…
    pub(crate) fn users_csv(&self, sipp: &Sipp) -> String {
        let user = sipp.user.as_deref().unwrap_or("nobody");
        let (name, password) = (self.username(user), self.password(user));
        let mut line = format!(
            "SEQUENTIAL\n{name};[authentication username={name} password={password}];\
             [authentication username={name} password=wrong]"
        );
        for field in sipp.fields.as_deref().unwrap_or("").split_whitespace() {
            line.push(';');
            match field {
                "password" => line.push_str(&password),
                // Of the moment when it is used.
                "passport" => line.push_str(PASSPORT),
                port => line.push_str(&self.port(port).to_string()),
            }
        }
        line + "\n"
    }

    /// A `tandem` command line of the world with the places and passwords of this stage.
    pub(crate) fn filled_in(&self, line: &str) -> String {
        let mut line = line.replace("{local}", &self.local_host());
        for name in scenario::PORT_NAMES {
            line = line.replace(&format!("{{{name}}}"), &self.port(name).to_string());
        }
        while let Some((before, rest)) = line.split_once("{password:") {
            let (user, after) = rest.split_once('}').unwrap_or((rest, ""));
            line = format!("{before}{}{after}", self.password(user));
        }
        line
    }
}

/// Says what a switch must have before scenarios are played against it.
pub(crate) fn needs(stage: &Stage) -> String {
    let port = |name| stage.port(name);
    format!(
        "Playing from {local} against {target}. That switch needs the accounts, phones, rates and \
         routes of `sipp-scenarios/world`, with the customer’s trunk at {local}:{}, the carriers at \
         {local}:{}, :{} and :{}. Only what SIPp sees is checked.",
        port("trunk"),
        port("carrier-a"),
        port("carrier-b"),
        port("carrier-c"),
        local = stage.local_host(),
        target = stage.target,
    )
}

/// A text file; an error names it.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(args: &[&'static str]) -> Result<Stage, String> {
        let mut wanted = Wanted::default();
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            assert!(wanted.take(arg, &mut value)?, "{arg}");
        }
        wanted.set()
    }

    #[test]
    fn the_local_address_is_that_of_the_route() {
        let stage = stage(&["--target", "127.0.0.2:5070"]).expect("a loopback address");
        assert!(stage.local.is_loopback());
        assert_eq!(stage.tls().to_string(), "127.0.0.2:5061");
    }

    #[test]
    fn a_line_gets_the_places_and_passwords_of_the_stage() {
        let options = ["--local", "192.0.2.7", "--ports", "30000", "--phone", "1001=alice:secret"];
        let stage = stage(&options).expect("all of them are right");
        let line =
            stage.filled_in("trunk add x --address {local}:{trunk} --password {password:1001}");
        assert_eq!(line, "trunk add x --address 192.0.2.7:30005 --password secret");
        assert_eq!(stage.called(Some("1001")), "alice");
        assert_eq!(stage.called(None), scenario::CLD);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |args: &[&'static str]| stage(args).expect_err("wrong");
        assert!(error(&["--ports", "65530"]).contains("--ports 65530"));
        assert!(error(&["--phone", "alice"]).contains("1001=USERNAME:PASSWORD"));
        assert!(error(&["--target"]).contains("--target needs a value"));
    }
}
