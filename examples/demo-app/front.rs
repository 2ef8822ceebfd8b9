//! The proxy before the instances: one request per connection, handed to them in turn.
//!
//! An instance that refuses is skipped, and a reading request that an instance dropped before it
//! said anything goes to the next: so a rolling restart is not seen from outside. What is posted to
//! `/hooks/ops` it keeps itself, one line each in `notifications.jsonl`, for the team to read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::error::{Fail, Outcome};
use crate::world::World;

const MAX_REQUEST: usize = 1 << 20;
const NOBODY: &str = r#"{"status":"unavailable","detail":"no instance answers"}"#;

/// Serves until it is signalled.
pub async fn run(world: &World) -> Outcome<()> {
    let port = world.base_port()?;
    let instances: Arc<[u16]> = (1..=world.instances()?).map(|n| port + n).collect();
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|e| Fail::io(format!("listen on port {port}"), e))?;
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (instances, turn) = (Arc::clone(&instances), Arc::clone(&turn));
        let notifications = world.dir.join("notifications.jsonl");
        tokio::spawn(async move {
            // a client that goes away mid-answer is its own affair
            let _ = handle(client, &instances, &turn, &notifications).await;
        });
    }
}

async fn handle(
    mut client: TcpStream,
    instances: &[u16],
    turn: &AtomicUsize,
    notifications: &Path,
) -> io::Result<()> {
    let request = match timeout(Duration::from_secs(30), read_request(&mut client)).await {
        Ok(Ok(request)) if !request.is_empty() => request,
        Ok(Err(e)) if e.kind() == io::ErrorKind::InvalidData => {
            return say(&mut client, "400 Bad Request", "{}").await;
        }
        _ => return Ok(()),
    };
    if request.starts_with(b"POST /hooks/ops ") {
        return match record(&request, notifications) {
            Ok(()) => say(&mut client, "200 OK", r#"{"recorded":true}"#).await,
            Err(_) => say(&mut client, "400 Bad Request", r#"{"recorded":false}"#).await,
        };
    }
    let reading = request.starts_with(b"GET ") || request.starts_with(b"HEAD ");
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for i in 0..instances.len() {
        let port = instances[(first + i) % instances.len()];
        let connect = TcpStream::connect(("127.0.0.1", port));
        let Ok(Ok(mut server)) = timeout(Duration::from_millis(500), connect).await else {
            continue;
        };
        let mut buffer = vec![0u8; 16 * 1024];
        let begun = async {
            server.write_all(&request).await?;
            server.read(&mut buffer).await
        };
        match begun.await {
            Ok(n) if n > 0 => {
                client.write_all(&buffer[..n]).await?;
                tokio::io::copy(&mut server, &mut client).await?;
                return client.shutdown().await;
            }
            // it may have acted on the request: only one that changes nothing is asked again
            _ if reading => {}
            _ => return say(&mut client, "502 Bad Gateway", NOBODY).await,
        }
    }
    say(&mut client, "503 Service Unavailable", NOBODY).await
}

/// Appends the JSON body of a whole request as one line.
fn record(request: &[u8], file: &Path) -> io::Result<()> {
    let head = request.windows(4).position(|w| w == b"\r\n\r\n");
    let body = head.map_or(&[][..], |end| &request[end + 4..]);
    let said: serde_json::Value = serde_json::from_slice(body)?;
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{said}\n").as_bytes())
}

async fn say(client: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

/// One whole request, head and body.
async fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut whole = None;
    loop {
        if whole.is_some_and(|n| request.len() >= n) {
            return Ok(request);
        }
        if request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(Vec::new());
        }
        if whole.is_none() {
            whole = length(&request)?;
        }
    }
}

/// The length of the whole request once its head is there. A chunked body is not understood.
fn length(request: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = request.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let mut body = 0;
    for line in text.lines() {
        match line.split_once(':') {
            Some(("content-length", n)) => {
                body = n.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
            Some(("transfer-encoding", _)) => return Err(io::ErrorKind::InvalidData.into()),
            _ => {}
        }
    }
    if body > MAX_REQUEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some(head + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_head_says() {
        assert_eq!(length(b"GET / HTTP/1.1\r\nHost: x\r\n").ok(), Some(None));
        assert_eq!(length(b"GET / HTTP/1.1\r\n\r\n").ok(), Some(Some(18)));
        let post = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab";
        assert_eq!(length(post).ok(), Some(Some(post.len() + 3)));
        assert!(length(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
