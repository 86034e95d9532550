//! What stands between a program and a server: a proxy that can cut every connection, and
//! hold back what a program sends, as a network does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much is read at once.
const PIECE: usize = 16 << 10;

/// A proxy for TCP on a port of the loopback.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    /// Counts the cuts: a connection ends when it changes.
    cuts: watch::Sender<u64>,
    holding: watch::Sender<bool>,
    held: AtomicUsize,
}

impl Proxy {
    /// Starts one before a server, which need not run.
    ///
    /// # Panics
    /// When no port of the loopback is free.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        let address = listener.local_addr().expect("it has an address");
        let (cuts, holding) = (watch::Sender::new(0), watch::Sender::new(false));
        let state = Arc::new(State { server, cuts, holding, held: AtomicUsize::new(0) });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((program, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).connect(program));
            }
        });
        Self { address, state }
    }

    /// Cuts every connection; new ones are let through.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on keeps what programs send to itself; answers still come through.
    pub fn hold(&self) {
        self.state.holding.send_replace(true);
    }

    /// Sends on what was held back.
    pub fn release(&self) {
        self.state.holding.send_replace(false);
    }

    /// How many bytes are held back now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::Relaxed)
    }
}

impl State {
    async fn connect(self: Arc<Self>, program: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let Ok(server) = TcpStream::connect(self.server).await else { return };
        // What is said is short and waited for.
        let _ = (program.set_nodelay(true), server.set_nodelay(true));
        let ((from_program, to_program), (from_server, to_server)) = (program.into_split(), server.into_split());
        tokio::select! {
            () = self.up(from_program, to_server) => {}
            () = down(from_server, to_program) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn up(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (mut piece, mut holding) = (vec![0; PIECE], self.holding.subscribe());
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            self.held.fetch_add(read, Ordering::Relaxed);
            let let_go = holding.wait_for(|holding| !holding).await.is_ok();
            self.held.fetch_sub(read, Ordering::Relaxed);
            if !let_go || to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    }
}

async fn down(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
