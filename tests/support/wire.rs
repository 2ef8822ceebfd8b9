//! HTTP servers that misbehave on purpose: raw bytes on a loopback port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Listens, hands each connection with its request (head and announced body) to `serve`, and keeps
/// the requests. Ends with the test process; `connections` bounds it.
pub struct Wire {
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// `127.0.0.1:port`.
    pub at: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Serves at most `connections` connections, one after another.
    pub fn serve(connections: usize, serve: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                kept.lock().unwrap().push(request);
                serve(&mut stream);
            }
        });
        Self {
            url: format!("http://{at}"),
            at,
            requests,
        }
    }

    /// Answers every request with these bytes and closes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::serve(100, move |stream| {
            let _ = stream.write_all(&answer);
        })
    }

    /// Answers every request with the request itself, as text.
    pub fn echo(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().take(1_000) {
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                let answer = answer(status, &[("content-type", "text/plain")], &request);
                kept.lock().unwrap().push(request);
                // who does not listen any more misses nothing
                let _ = stream.write_all(&answer);
            }
        });
        Self {
            url: format!("http://{at}"),
            at,
            requests,
        }
    }

    /// The requests so far, as text.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Takes connections and never says anything.
pub struct Silent {
    /// `127.0.0.1:port`.
    pub at: String,
    _listener: TcpListener,
}

impl Silent {
    /// On a free port; connections wait in the listener's queue.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            at: listener.local_addr().unwrap().to_string(),
            _listener: listener,
        }
    }
}

/// A whole answer with this status line's end, headers and body.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse::<usize>().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return text,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
