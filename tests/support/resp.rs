//! A Redis server that misbehaves on purpose: it answers the naming of a connection, and with the
//! commands it does what the test says.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What becomes of a command.
#[derive(Clone)]
pub enum Then {
    /// It is answered with these bytes.
    Say(&'static str),
    /// It is read, and the connection is reset.
    Reset,
    /// It is read, and nothing follows; the connection stays.
    Nothing,
}

/// Listens on loopback until the test process ends.
pub struct Resp {
    /// `redis://127.0.0.1:port`.
    pub url: String,
    commands: Arc<Mutex<Vec<String>>>,
}

impl Resp {
    /// Does this with every command but the naming of a connection.
    pub fn serve(then: impl Fn(&str) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let commands = Arc::new(Mutex::new(Vec::new()));
        let (kept, then) = (Arc::clone(&commands), Arc::new(then));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((link, _)) = listener.accept().await {
                    tokio::spawn(link_served(link, Arc::clone(&kept), Arc::clone(&then)));
                }
            });
        });
        Self { url, commands }
    }

    /// The commands that it read, words joined by spaces; the naming of connections left out.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

async fn link_served(
    mut link: TcpStream,
    kept: Arc<Mutex<Vec<String>>>,
    then: Arc<impl Fn(&str) -> Then>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        // a request comes in one piece over loopback when it is sent in one piece
        let Ok(length @ 1..) = link.read(&mut buffer).await else {
            return;
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let words: Vec<_> = text
            .split("\r\n")
            .filter(|part| !part.is_empty() && !part.starts_with(['*', '$']))
            .collect();
        let command = words.join(" ");
        let answer = if command.starts_with("CLIENT SETNAME") {
            Then::Say("+OK\r\n")
        } else {
            kept.lock().unwrap().push(command.clone());
            then(&command)
        };
        match answer {
            Then::Say(bytes) => {
                if link.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
            Then::Nothing => {}
            Then::Reset => {
                link.set_zero_linger().unwrap();
                return;
            }
        }
    }
}
