//! Hosts in network namespaces of their own, joined by a router, and whose links are cut and mended.
//!
//! Owns: making them, running commands and closures in them, and taking them away. Never: touches the network of the
//! process that runs the test.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Hosts that reach each other.
pub(super) struct Net {
    prefix: String,
    hosts: Vec<&'static str>,
}

const HUB: &str = "hub";

fn ip(line: &str) -> Result<(), String> {
    let run = Command::new("ip").args(line.split_whitespace()).output();
    let run = run.map_err(|error| format!("ip: {error}"))?;
    match run.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&run.stderr);
            Err(format!("ip {line}: {}", said.trim()))
        }
    }
}

impl Net {
    /// `None`, and a word about it, where the system does not let this process make any: no setting of a test can
    /// change that.
    pub(super) fn new(hosts: &[&'static str]) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let net = Self {
            prefix: format!("grotto-{}-{count}", std::process::id()),
            hosts: hosts.to_vec(),
        };
        if let Err(why) = ip(&format!("netns add {}", net.space(HUB))) {
            super::tell(format_args!(
                "WARNING: SKIPPED: no network namespaces ({why}): this needs root, and iproute2"
            ));
            return None;
        }
        net.join().unwrap();
        Some(net)
    }

    fn join(&self) -> Result<(), String> {
        let hub = self.space(HUB);
        for (place, host) in self.hosts.iter().enumerate() {
            let (space, net) = (self.space(host), format!("10.77.{place}"));
            let port = format!("to-{host}");
            ip(&format!("netns add {space}"))?;
            ip(&format!(
                "link add eth0 netns {space} type veth peer name {port} netns {hub}"
            ))?;
            ip(&format!("-n {hub} address add {net}.1/24 dev {port}"))?;
            ip(&format!("-n {hub} link set dev {port} up"))?;
            ip(&format!("-n {space} address add {net}.2/24 dev eth0"))?;
            ip(&format!("-n {space} link set dev eth0 up"))?;
            ip(&format!("-n {space} link set dev lo up"))?;
            ip(&format!("-n {space} route add default via {net}.1"))?;
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &hub, "sh", "-c", forward]);
        let run = command.status().map_err(|error| error.to_string())?;
        assert!(run.success());
        Ok(())
    }

    fn space(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    pub(super) fn address(&self, host: &str) -> Ipv4Addr {
        let place = self.hosts.iter().position(|other| *other == host);
        Ipv4Addr::new(10, 77, place.unwrap() as u8, 2)
    }

    /// The same command on a host.
    pub(super) fn on(&self, host: &str, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &self.space(host)]);
        there.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            there.current_dir(folder);
        }
        there.stdin(Stdio::null());
        there.stdout(Stdio::piped()).stderr(Stdio::piped());
        there
    }

    /// Runs something on a host, on a thread of its own.
    pub(super) fn within<T: Send>(&self, host: &str, run: impl FnOnce() -> T + Send) -> T {
        let space = std::fs::File::open(format!("/run/netns/{}", self.space(host))).unwrap();
        let there = move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(space.as_fd(), network).unwrap();
            run()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    /// From now on nothing that one of them sends reaches the other, and no error tells so.
    pub(super) fn cut(&self, one: &str, other: &str) {
        self.rules("add", one, other);
    }

    pub(super) fn mend(&self, one: &str, other: &str) {
        self.rules("del", one, other);
    }

    /// By rules of the hub, which drop what they match without a word.
    fn rules(&self, what: &str, one: &str, other: &str) {
        let hub = self.space(HUB);
        for (from, to) in [(one, other), (other, one)] {
            let (from, to) = (self.address(from), self.address(to));
            ip(&format!(
                "-n {hub} rule {what} from {from} to {to} blackhole"
            ))
            .unwrap();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain(&[HUB]) {
            // What was never made is not there.
            let _ = ip(&format!("netns del {}", self.space(host)));
        }
    }
}
