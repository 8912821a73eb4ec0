//! A small internet: one network that everybody reaches (addresses for documentation, RFC 5737), and
//! homes behind routers that translate addresses.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use crate::softphones::phone::in_namespace;

/// Addresses of the network that everybody reaches.
pub(super) const TANDEM: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
pub(super) const CARRIER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20));
/// Kamailio before Tandem and behind it, and telephones that use it.
pub(super) const EDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 30));
pub(super) const PBX: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 31));
pub(super) const PHONES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 41)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 42))];

/// After this long without a packet a router forgets a way through it that UDP has made.
pub(super) const FORGETS_AFTER_S: u64 = 3;

/// The network that everybody reaches. We are in it, with several addresses.
pub(super) struct Internet {
    homes: u8,
}

/// A private network with one telephone in it, behind a router.
pub(super) struct Home {
    /// The namespace of the telephone.
    pub(super) namespace: String,
    router: String,
    /// The telephone's address, which means nothing outside.
    pub(super) address: IpAddr,
    /// The router's, which the telephone is seen as outside.
    pub(super) public: IpAddr,
    /// The telephone's end of a wire of our own that commands go through, and nothing else.
    pub(super) control: IpAddr,
}

impl Internet {
    /// Needs a network namespace that nobody else uses.
    pub(super) fn make() -> Result<Internet, String> {
        // Names of namespaces are files there, and ours are nobody else's business.
        run("mount --make-rprivate /")?;
        run("mount -t tmpfs tmpfs /run")?;
        run("ip link set lo up")?;
        run("ip link add wan type bridge")?;
        run("ip link set wan up")?;
        for address in [TANDEM, CARRIER, PHONES[0], PHONES[1]] {
            run(&format!("ip addr add {address}/24 dev wan"))?;
        }
        // linphone takes a machine without such a route to be off the net.
        run("ip route add default dev wan")?;
        Ok(Internet { homes: 0 })
    }

    /// A machine of its own with these addresses: its namespace.
    pub(super) fn host(&self, name: &str, addresses: &[IpAddr]) -> Result<String, String> {
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add {name} type veth peer name wan netns {name}"))?;
        run(&format!("ip link set {name} master wan up"))?;
        for address in addresses {
            run(&format!("ip -n {name} addr add {address}/24 dev wan"))?;
        }
        run(&format!("ip -n {name} link set wan up"))?;
        run(&format!("ip -n {name} link set lo up"))?;
        Ok(name.to_string())
    }

    /// A home whose network is `lan`/24: the router is its .1, the telephone its .10.
    pub(super) fn home(&mut self, lan: Ipv4Addr) -> Result<Home, String> {
        self.homes += 1;
        let n = self.homes;
        let [a, b, c, _] = lan.octets();
        let (gateway, address) = (Ipv4Addr::new(a, b, c, 1), Ipv4Addr::new(a, b, c, 10));
        let public = Ipv4Addr::new(198, 51, 100, 100 + n);
        let (ours, control) = (Ipv4Addr::new(169, 254, n, 1), Ipv4Addr::new(169, 254, n, 2));
        let (router, phone) = (format!("router-{n}"), format!("phone-{n}"));
        let lines = [
            format!("netns add {router}"),
            format!("netns add {phone}"),
            format!("link add wan-{n} type veth peer name wan netns {router}"),
            format!("link set wan-{n} master wan up"),
            format!("-n {router} addr add {public}/24 dev wan"),
            format!("-n {router} link set wan up"),
            format!("-n {router} link set lo up"),
            format!("-n {router} link add lan type veth peer name lan netns {phone}"),
            format!("-n {router} addr add {gateway}/24 dev lan"),
            format!("-n {router} link set lan up"),
            format!("-n {phone} addr add {address}/24 dev lan"),
            format!("-n {phone} link set lan up"),
            format!("-n {phone} link set lo up"),
            format!("-n {phone} route add default via {gateway}"),
            format!("link add control-{n} type veth peer name control netns {phone}"),
            format!("addr add {ours}/30 dev control-{n}"),
            format!("link set control-{n} up"),
            format!("-n {phone} addr add {control}/30 dev control"),
            format!("-n {phone} link set control up"),
        ];
        lines.iter().try_for_each(|line| run(&format!("ip {line}")))?;
        let home = Home {
            namespace: phone,
            router,
            address: address.into(),
            public: public.into(),
            control: control.into(),
        };
        home.translate()?;
        Ok(home)
    }
}

impl Home {
    /// Lets out what comes from inside, under another port of the router's own address, and in what
    /// answers it. It counts what nothing inside has asked for.
    fn translate(&self) -> Result<(), String> {
        let rules = "\
table ip home {
  counter strays {
  }
  counter answers {
  }
  chain leaving {
    type nat hook postrouting priority 100
    oifname \"wan\" masquerade random
  }
  chain passing {
    type filter hook forward priority 0
    policy drop
    iifname \"lan\" accept
    meta l4proto udp ct state established counter name answers accept
    ct state established accept
  }
  chain arriving {
    type filter hook input priority 0
    policy accept
    iifname \"wan\" meta l4proto udp counter name strays drop
  }
}
";
        let mut nft = in_namespace(Some(&self.router), "nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run nft (Debian package nftables): {e}"))?;
        let written = nft.stdin.take().map(|mut input| input.write_all(rules.as_bytes()));
        let ended = nft.wait().map_err(|e| e.to_string())?;
        if !ended.success() || !matches!(written, Some(Ok(()))) {
            return Err("nft refuses the rules of a router".to_string());
        }
        for (name, value) in [
            ("net/ipv4/ip_forward", 1),
            ("net/netfilter/nf_conntrack_udp_timeout", FORGETS_AFTER_S),
            ("net/netfilter/nf_conntrack_udp_timeout_stream", FORGETS_AFTER_S),
        ] {
            let write = format!("echo {value} > /proc/sys/{name}");
            let shell = in_namespace(Some(&self.router), "sh").args(["-c", &write]).status();
            if !shell.is_ok_and(|status| status.success()) {
                return Err(format!("cannot set {name} of a router"));
            }
        }
        Ok(())
    }

    /// Begins to count datagrams anew.
    pub(super) fn count(&self) -> Result<(), String> {
        self.nft(&["reset", "counters", "table", "ip", "home"]).map(drop)
    }

    /// UDP datagrams that came in on a way that something inside has opened.
    pub(super) fn answers(&self) -> Result<u64, String> {
        self.counted("answers")
    }

    /// UDP datagrams that came to the router for nobody inside.
    pub(super) fn strays(&self) -> Result<u64, String> {
        self.counted("strays")
    }

    fn counted(&self, counter: &str) -> Result<u64, String> {
        let text = self.nft(&["list", "counter", "ip", "home", counter])?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        let packets = words.next().and_then(|word| word.parse().ok());
        packets.ok_or_else(|| format!("nft does not tell what it counted: {text}"))
    }

    fn nft(&self, args: &[&str]) -> Result<String, String> {
        let output = in_namespace(Some(&self.router), "nft").args(args).output();
        let output = output.map_err(|e| format!("nft: {e}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("nft {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
    }

    /// Sends a datagram from inside to this address and port.
    pub(super) fn knock(&self, at: SocketAddr) -> Result<(), String> {
        let send = format!("echo knock > /dev/udp/{}/{}", at.ip(), at.port());
        let status = in_namespace(Some(&self.namespace), "bash").args(["-c", &send]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("cannot send a datagram to {at} from behind {}", self.public)),
        }
    }
}

fn run(line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .map_err(|e| format!("cannot run {line} (Debian package iproute2): {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
