//! A relay that does nothing but pass bytes on, in a process of its own on the server's core: what any server in
//! the middle adds on this machine at the least, because somebody has to be woken twice more.

use crate::machine::Cores;
use crate::process::on_its_core;
use anyhow::Context as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

/// A running relay; it ends with this value.
pub(crate) struct Relay {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Relay {
    pub(crate) fn start(cores: Option<Cores>, upstream: SocketAddr) -> anyhow::Result<Self> {
        let mut command = on_its_core(&std::env::current_exe()?, cores);
        let mut child = command.arg("--relay").arg(upstream.to_string()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().context("the relay has no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the relay does not say where it listens")?;
        Ok(Self { child, address })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Listens, says where, and passes on until it is ended.
pub(crate) fn run(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        let (near, far) = (stream?, TcpStream::connect(upstream)?);
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
        // As many as the measurement has connections, until it ends.
        std::thread::spawn(move || pass_on(near, far));
        std::thread::spawn(move || pass_on(far_too, near_too));
    }
    Ok(())
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
