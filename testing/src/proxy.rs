//! A proxy in front of a server, which makes trouble between it and its clients when told to.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use pipeline::loopback;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::STARTER;

/// How much is passed on at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// How many chunks may be on their way to a client.
const CHUNKS: usize = 64;
/// How long a request that is refused may take to be read.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What is wrong between clients and the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nothing.
    Nothing,
    /// Connections are dropped and new ones refused.
    Cut,
    /// What the server says arrives this much later.
    Slow(Duration),
    /// Connections stay open and new ones are accepted, but nothing passes. A connection that saw this never passes
    /// anything again: its client has to find that out.
    HalfOpen,
    /// Each connection breaks off after this many bytes in either direction.
    Short(u64),
    /// Each HTTP request gets this answer, from nobody.
    Answered(&'static str),
}

/// The answer of a service that is overloaded.
pub const SLOW_DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n\
    Content-Length: 60\r\n\r\n<Error><Code>SlowDown</Code><Message>Busy</Message></Error>\n";

/// A proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    trouble: watch::Sender<Trouble>,
}

impl Proxy {
    /// Starts one in front of `server`, at an address of its own.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        Self::start_at(loopback::free_address().context("find a free port")?, server).await
    }

    /// Starts one in front of `server`, which may not be there yet, at `address`.
    ///
    /// # Errors
    /// When the address is not free.
    pub async fn start_at(address: SocketAddr, server: SocketAddr) -> Result<Self> {
        let (trouble, seen) = watch::channel(Trouble::Nothing);
        // On a thread of its own: a busy test would be a slow network.
        let listening = STARTER.spawn(async move { TcpListener::bind(address).await });
        let listener = listening.await?.with_context(|| format!("listen on {address}"))?;
        STARTER.spawn(accept(listener, server, seen));
        Ok(Self { address, trouble })
    }

    /// Returns where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes `trouble` from now on, in place of what was before.
    pub fn make(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }
}

/// Accepts connections; while they are cut nobody listens.
async fn accept(mut listener: TcpListener, server: SocketAddr, seen: watch::Receiver<Trouble>) {
    let mut cut = seen.clone();
    let Ok(address) = listener.local_addr() else { return };
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                tokio::spawn(connection(client, server, seen.clone()));
                continue;
            }
            is_cut = cut.wait_for(|trouble| *trouble == Trouble::Cut) => if is_cut.is_err() { return },
        }
        drop(listener);
        if cut.wait_for(|trouble| *trouble != Trouble::Cut).await.is_err() {
            return;
        }
        listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => panic!("the proxy's address {address} was taken: {error}"),
        };
    }
}

/// Serves one connection until an end closes it, or trouble does.
async fn connection(mut client: TcpStream, server: SocketAddr, mut seen: watch::Receiver<Trouble>) {
    let begun = *seen.borrow();
    if let Trouble::Answered(text) = begun {
        return answer(client, text).await;
    }
    let mut server = match begun {
        Trouble::HalfOpen => None,
        _ => match TcpStream::connect(server).await {
            Ok(server) => Some(server),
            Err(_) => return,
        },
    };
    if let Some(server) = &mut server {
        // An error shows when something is sent.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let (requests, answers) = (seen.clone(), seen.clone());
        tokio::select! {
            () = pass(from_client, to_server, requests, false) => return,
            () = pass(from_server, to_client, answers, true) => return,
            trouble = seen.wait_for(|t| matches!(t, Trouble::Cut | Trouble::Answered(_) | Trouble::HalfOpen)) => {
                if !trouble.is_ok_and(|trouble| *trouble == Trouble::HalfOpen) {
                    return;
                }
            }
        }
    }
    // What the server says or that it has gone is not heard any more.
    let (mut from, mut to) = (client, tokio::io::sink());
    tokio::select! {
        _ = tokio::io::copy(&mut from, &mut to) => {}
        _ = seen.wait_for(|trouble| *trouble == Trouble::Cut) => {}
    }
}

/// Passes bytes on in one direction until it ends.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    seen: watch::Receiver<Trouble>,
    is_answer: bool,
) {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let reading = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut passed = 0;
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            let (mut arrives, mut kept) = (Instant::now(), read);
            match *seen.borrow() {
                Trouble::Slow(delay) if is_answer => arrives += delay,
                Trouble::Short(bytes) => kept = read.min(bytes.saturating_sub(passed) as usize),
                _ => {}
            }
            passed += kept as u64;
            if queue.send((arrives, chunk[..kept].to_vec())).await.is_err() || kept < read {
                break;
            }
        }
        drop(queue);
    };
    let writing = async {
        while let Some((arrives, bytes)) = queued.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// Reads a request's head and answers it.
async fn answer(mut client: TcpStream, text: &str) {
    let mut head = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let answered = async {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match client.read(&mut chunk).await {
                Ok(read @ 1..) => head.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        }
        if client.write_all(text.as_bytes()).await.is_ok() && client.shutdown().await.is_ok() {
            // The rest of the request is read, or the client would hear of a reset before the answer.
            while let Ok(1..) = client.read(&mut chunk).await {}
        }
    };
    // Whoever sends nothing gets nothing.
    let _ = timeout(READ_LIMIT, answered).await;
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Long enough for what is there to arrive.
    const SOON: Duration = Duration::from_millis(200);

    /// Sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn said(client: &mut TcpStream, text: &str) -> std::io::Result<String> {
        client.write_all(text.as_bytes()).await?;
        let mut heard = vec![0; text.len()];
        client.read_exact(&mut heard).await?;
        Ok(String::from_utf8(heard).expect("text"))
    }

    #[tokio::test]
    async fn cut_connections_end_and_new_ones_are_refused_until_it_heals() {
        let proxy = Proxy::start(echo().await).await.expect("a proxy");
        let mut client = TcpStream::connect(proxy.address()).await.expect("connect");
        assert_eq!(said(&mut client, "one").await.expect("an echo"), "one");
        proxy.make(Trouble::Cut);
        assert_eq!(client.read(&mut [0; 8]).await.expect("an end"), 0);
        crate::until::until("new ones are refused", READ_LIMIT, async || {
            let refused = TcpStream::connect(proxy.address()).await.err()?;
            (refused.kind() == ErrorKind::ConnectionRefused).then_some(())
        })
        .await;
        proxy.make(Trouble::Nothing);
        crate::until::until("it is healed", READ_LIMIT, async || {
            let mut client = TcpStream::connect(proxy.address()).await.ok()?;
            said(&mut client, "two").await.ok()
        })
        .await;
    }

    #[tokio::test]
    async fn half_open_connections_swallow_for_ever() {
        let proxy = Proxy::start(echo().await).await.expect("a proxy");
        let mut old = TcpStream::connect(proxy.address()).await.expect("connect");
        assert_eq!(said(&mut old, "one").await.expect("an echo"), "one");
        proxy.make(Trouble::HalfOpen);
        let mut new = TcpStream::connect(proxy.address()).await.expect("connect");
        assert!(timeout(SOON, said(&mut new, "two")).await.is_err());
        proxy.make(Trouble::Nothing);
        assert!(timeout(SOON, said(&mut old, "three")).await.is_err());
        let mut fresh = TcpStream::connect(proxy.address()).await.expect("connect");
        assert_eq!(said(&mut fresh, "four").await.expect("an echo"), "four");
    }

    #[tokio::test]
    async fn answers_come_late_or_only_in_part_or_from_nobody() {
        let proxy = Proxy::start(echo().await).await.expect("a proxy");
        proxy.make(Trouble::Slow(SOON));
        let mut client = TcpStream::connect(proxy.address()).await.expect("connect");
        let begun = Instant::now();
        assert_eq!(said(&mut client, "one").await.expect("an echo"), "one");
        assert!(begun.elapsed() >= SOON);
        proxy.make(Trouble::Short(5));
        let mut client = TcpStream::connect(proxy.address()).await.expect("connect");
        client.write_all(b"more than five").await.expect("write");
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("an end");
        assert!("more ".starts_with(&heard), "{heard}");
        proxy.make(Trouble::Answered(SLOW_DOWN));
        let mut client = TcpStream::connect(proxy.address()).await.expect("connect");
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("write");
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("an answer");
        assert_eq!(heard, SLOW_DOWN);
        assert_eq!(SLOW_DOWN.split("\r\n\r\n").nth(1).map(str::len), Some(60));
    }
}
