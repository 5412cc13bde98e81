//! A proxy that counts statements, and loses an answer when told to: the server did what it was told and the client never
//! hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A CQL frame's header: version, flags, stream (2), opcode, length (4).
const HEADER_BYTES: usize = 9;
/// The opcode that runs a prepared statement.
const EXECUTE: u8 = 0x0a;
/// Nothing is lost.
const NEVER: i64 = i64::MIN;

/// Passes CQL on to one node.
pub struct Proxy {
    address: String,
    /// Statements to let pass before one whose answer is lost.
    until_loss: Arc<AtomicI64>,
    passed: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts one in front of the node at `node`; it lives as long as the test's runtime.
    ///
    /// # Panics
    /// When nothing can listen on loopback.
    pub async fn start(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen on loopback");
        let address = listener.local_addr().expect("the address it listens at").to_string();
        let until_loss = Arc::new(AtomicI64::new(NEVER));
        let passed = Arc::<AtomicUsize>::default();
        let (shared, counted) = (until_loss.clone(), passed.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&node).await else { continue };
                // Else each statement waits 40 ms for an acknowledgement; an error shows when something is sent.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (lose, lost) = watch::channel(false);
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(requests(from_client, to_server, lose, shared.clone(), counted.clone()));
                tokio::spawn(answers(from_server, to_client, lost));
            }
        });
        Self { address, until_loss, passed }
    }

    /// Returns where clients connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns how many statements came so far.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    /// Loses the answer to the next statement but `passing`, and the connection with it.
    pub fn lose_after(&self, passing: i64) {
        self.until_loss.store(passing, Ordering::SeqCst);
    }

    /// Says whether the answer was lost.
    pub fn has_lost(&self) -> bool {
        self.until_loss.load(Ordering::SeqCst) < 0
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    lose: watch::Sender<bool>,
    until_loss: Arc<AtomicI64>,
    passed: Arc<AtomicUsize>,
) {
    let mut header = [0; HEADER_BYTES];
    while from.read_exact(&mut header).await.is_ok() {
        let [.., a, b, c, d] = header;
        let mut body = vec![0; u32::from_be_bytes([a, b, c, d]) as usize];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        passed.fetch_add(usize::from(header[4] == EXECUTE), Ordering::SeqCst);
        if header[4] == EXECUTE
            && until_loss.load(Ordering::SeqCst) != NEVER
            && until_loss.fetch_sub(1, Ordering::SeqCst) == 0
        {
            lose.send_replace(true);
        }
        if to.write_all(&header).await.is_err() || to.write_all(&body).await.is_err() {
            return;
        }
        if *lose.borrow() {
            // The answers' side closes both directions once the server has answered.
            lose.closed().await;
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: watch::Receiver<bool>) {
    let mut part = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        if *lost.borrow() || to.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}
