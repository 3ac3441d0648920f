//! NATS request and reply over its text protocol. Both ends handle all that a read brings in one go
//! and write once for it, which is what the better client libraries do.

use crate::load;
use crate::process::{self, Server};
use crate::rows::Figures;
use anyhow::{Context as _, Result, bail};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SUBJECT: &str = "bench.echo";
const BODY: [u8; 1024] = [b'x'; 1024];

pub(crate) async fn start(folder: &Path) -> Result<Server> {
    let address = process::free_port()?;
    let mut command = Command::new(folder.join("python/bin/nats-server"));
    command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string()]);
    Server::start(command, address, process::folder()?).await
}

/// So many connections, one request in flight on each.
pub(crate) fn measure(address: SocketAddr, callers: usize, time: Duration) -> Result<Figures> {
    load::threads(callers, time, |caller| {
        let mut client = Client::requests(address, caller)?;
        Ok(move || {
            client.request(0);
            client.flush()?;
            client.read(|_, _, _| Ok(()))
        })
    })
}

/// One connection with so many requests in flight.
pub(crate) fn multiplexed(address: SocketAddr, callers: u64, time: Duration) -> Result<Figures> {
    let mut client = Client::requests(address, 0)?;
    let mut sent = HashMap::new();
    let mut next = 0;
    load::window(time, |answered| {
        while (sent.len() as u64) < callers {
            client.request(next);
            sent.insert(next, Instant::now());
            next += 1;
        }
        client.flush()?;
        client.read(|subject, _, _| {
            let (_, number) = subject.rsplit_once('.').context("no number")?;
            answered.extend(sent.remove(&number.parse()?));
            Ok(())
        })
    })
}

/// The responder, a process of its own; prints the server's address when it has subscribed.
pub(crate) fn serve_echo(server: &str, announce: fn(SocketAddr) -> Result<()>) -> Result<()> {
    let address = server.parse()?;
    let mut client = Client::open(address, SUBJECT)?;
    announce(address)?;
    let mut replies = Vec::new();
    loop {
        client.read(|_, reply, body| {
            publish(&mut replies, reply, None, body);
            Ok(())
        })?;
        client.stream.write_all(&replies)?;
        replies.clear();
    }
}

/// Appends a message to what is to be written.
fn publish(out: &mut Vec<u8>, subject: &str, reply: Option<&str>, body: &[u8]) {
    let reply = reply.unwrap_or_default();
    let head = format!("PUB {subject} {reply} {}\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

struct Client {
    stream: TcpStream,
    inbox: String,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Client {
    /// A connection that has subscribed to `subject`.
    fn open(address: SocketAddr, subject: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            inbox: String::new(),
            output: Vec::new(),
            input: Vec::new(),
        };
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n");
        client.stream.write_all(hello.as_bytes())?;
        // INFO and whatever else comes before the PONG.
        while !client.input.ends_with(b"PONG\r\n") {
            client.fill()?;
        }
        client.input.clear();
        Ok(client)
    }

    /// One that makes requests, with an inbox for the answers.
    fn requests(address: SocketAddr, caller: usize) -> Result<Self> {
        let inbox = format!("_INBOX.{}.{caller}", std::process::id());
        let mut client = Self::open(address, &format!("{inbox}.*"))?;
        client.inbox = inbox;
        Ok(client)
    }

    fn request(&mut self, number: u64) {
        let reply = format!("{}.{number}", self.inbox);
        publish(&mut self.output, SUBJECT, Some(&reply), &BODY);
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Reads once, or until there is a whole message, and hands over all that there are: subject,
    /// where to reply, and body.
    fn read(&mut self, mut each: impl FnMut(&str, &str, &[u8]) -> Result<()>) -> Result<()> {
        let mut any = false;
        while !any {
            self.fill()?;
            let mut at = 0;
            while let Some(message) = Message::parse(&self.input[at..])? {
                if let Some((subject, reply, body)) = message.content {
                    each(subject, reply, body)?;
                    any = true;
                } else {
                    self.stream.write_all(b"PONG\r\n")?;
                }
                at += message.length;
            }
            self.input.drain(..at);
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        if read == 0 {
            bail!("NATS closed the connection");
        }
        self.input.extend_from_slice(&buffer[..read]);
        Ok(())
    }
}

/// A message, or (without content) a ping.
struct Message<'a> {
    content: Option<(&'a str, &'a str, &'a [u8])>,
    length: usize,
}

impl<'a> Message<'a> {
    /// The first one in `input`; none when it is not whole yet.
    fn parse(input: &'a [u8]) -> Result<Option<Self>> {
        let Some(end) = input.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = std::str::from_utf8(&input[..end])?;
        let words: Vec<&str> = line.split(' ').collect();
        let (subject, reply, size) = match words[..] {
            ["PING"] => {
                return Ok(Some(Self {
                    content: None,
                    length: end + 2,
                }));
            }
            ["MSG", subject, _, size] => (subject, "", size),
            ["MSG", subject, _, reply, size] => (subject, reply, size),
            _ => bail!("NATS says {line:?}"),
        };
        let body = end + 2;
        let length = body + size.parse::<usize>()? + 2;
        Ok(input.get(body..length).map(|bytes| Self {
            content: Some((subject, reply, &bytes[..bytes.len() - 2])),
            length,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_where_they_end() {
        let mut out = Vec::new();
        publish(&mut out, "a.b", Some("in.7"), b"two");
        assert_eq!(out, b"PUB a.b in.7 3\r\ntwo\r\n");
        let input = b"MSG a.b 1 in.7 3\r\ntwo\r\nPING\r\nMSG a 1 2\r\nx";
        let first = Message::parse(input).unwrap().unwrap();
        assert_eq!(first.content, Some(("a.b", "in.7", &b"two"[..])));
        let ping = Message::parse(&input[first.length..]).unwrap().unwrap();
        assert!(ping.content.is_none());
        let rest = &input[first.length + ping.length..];
        assert!(Message::parse(rest).unwrap().is_none());
    }
}
