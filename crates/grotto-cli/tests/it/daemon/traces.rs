//! Traces of the daemon, in builds that send them.

use crate::kit::Bench;

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_that_sends_no_traces_says_so() {
    let bench = Bench::with_schema();
    super::kit::configure(&bench, "");
    let mut command = bench.command(&["producer", "--config", "c.yaml"]);
    let ended = command
        .env("GROTTO_TRACES", "http://127.0.0.1:4318")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("build grotto with --features otel"), "{said}");
}

#[cfg(feature = "otel")]
#[test]
fn requests_and_cycles_are_sent_to_a_collector() {
    use super::kit::{Daemon, configure, records};
    use std::io::{Read as _, Write as _};
    use std::process::Stdio;

    let bench = Bench::with_schema();
    configure(&bench, "");
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", collector.local_addr().unwrap());
    let collected = std::thread::spawn(move || {
        let mut all = Vec::new();
        while !["request", "cycle", "encode", "publish"]
            .iter()
            .all(|name| {
                all.windows(name.len())
                    .any(|found| found == name.as_bytes())
            })
        {
            let (mut stream, _) = collector.accept().unwrap();
            let mut bytes = [0; 1 << 16];
            stream.set_read_timeout(Some(super::kit::PATIENCE)).unwrap();
            let read = stream.read(&mut bytes).unwrap();
            all.extend_from_slice(&bytes[..read]);
            // The body may come in pieces: what is missing is sent again.
            let answer = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            answer.unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // What the client sent is read to its end, or it would see a reset.
            stream.read_to_end(&mut all).unwrap();
        }
        all
    });
    let daemon = Daemon::start_in(&bench, Stdio::null(), &[("GROTTO_TRACES", &address)]);
    daemon.accepted("?wait=published", &records(1..3));
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    let all = collected.join().unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.contains("POST /v1/traces") && text.contains("items"),
        "{text}"
    );
}
