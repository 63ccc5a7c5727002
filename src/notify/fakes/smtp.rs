//! A mail server to test against: it keeps to the order of SMTP, counts what it takes, and answers in the words of mail
//! servers. It speaks in the clear, so it is for this machine only.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes of a mail, and of a line of it (RFC 5321, 4.5.3.1.6).
const SIZE: usize = 1_000_000;
const LINE: usize = 1000;

/// A running server; it ends when this is dropped.
pub struct Smtp {
    address: SocketAddr,
    room: Arc<Room>,
    server: JoinHandle<()>,
}

/// A mail that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Who it is from, as the envelope says.
    pub from: String,
    /// Whom it is for, as the envelope says.
    pub to: Vec<String>,
    /// Who sent it, where they said so.
    pub user: Option<String>,
    /// Headers and body.
    pub content: String,
}

#[derive(Default)]
struct Room {
    login: Option<(String, String)>,
    offers_starttls: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    mails: Vec<Mail>,
    script: BTreeMap<String, VecDeque<String>>,
    wrong: Vec<String>,
}

/// What a connection has said so far.
#[derive(Default)]
struct Session {
    greeted: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl Smtp {
    /// Starts on a free port of this machine; with a login, mail is taken from that user only.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(login: Option<(&str, &str)>) -> io::Result<Smtp> {
        Smtp::serve(Room {
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            ..Room::default()
        })
        .await
    }

    /// The same, and it says that it knows STARTTLS.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn offering_starttls() -> io::Result<Smtp> {
        Smtp::serve(Room {
            offers_starttls: true,
            ..Room::default()
        })
        .await
    }

    async fn serve(room: Room) -> io::Result<Smtp> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let room = Arc::new(room);
        let rooms = Arc::clone(&room);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let room = Arc::clone(&rooms);
                // One at a time: a connection that hangs is what a test wants.
                tokio::spawn(async move {
                    let _ = talk(&room, stream).await;
                });
            }
        });
        Ok(Smtp {
            address,
            room,
            server,
        })
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it has taken, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.room.lock().mails.clone()
    }

    /// What clients did against the protocol.
    pub fn wrong(&self) -> Vec<String> {
        self.room.lock().wrong.clone()
    }

    /// Answers the next command of this kind like this: `RCPT`, `AUTH`, `.` for the end of a mail, `CONNECT` for the
    /// greeting; an empty answer hangs.
    pub fn script(&self, command: &str, answer: &str) {
        let mut inner = self.room.lock();
        let answers = inner.script.entry(command.to_owned()).or_default();
        answers.push_back(answer.to_owned());
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scripted(&self, command: &str) -> Option<String> {
        self.lock().script.get_mut(command)?.pop_front()
    }

    fn wrong(&self, what: &str) {
        self.lock().wrong.push(what.to_owned());
    }
}

async fn talk(room: &Room, stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut session = Session::default();
    let greeting = room.scripted("CONNECT");
    let greeting = greeting.unwrap_or_else(|| "220 mail.example ESMTP".to_owned());
    say(&mut stream, &greeting).await?;
    loop {
        let Some(line) = line(room, &mut stream).await? else {
            return Ok(());
        };
        let verb: String = line
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect::<String>()
            .to_ascii_uppercase();
        if let Some(answer) = room.scripted(&verb) {
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            say(&mut stream, &answer).await?;
            continue;
        }
        let answer = match verb.as_str() {
            "EHLO" => {
                session.greeted = true;
                let starttls = if room.offers_starttls {
                    "250-STARTTLS\r\n"
                } else {
                    ""
                };
                let auth = if room.login.is_some() {
                    "250-AUTH PLAIN LOGIN\r\n"
                } else {
                    ""
                };
                format!("250-mail.example\r\n{starttls}{auth}250-SIZE {SIZE}\r\n250 8BITMIME")
            }
            "AUTH" => authenticate(room, &mut session, &line),
            "MAIL" => sender(room, &mut session, &line),
            "RCPT" => recipient(room, &mut session, &line),
            "DATA" if session.to.is_empty() => {
                room.wrong("DATA without RCPT");
                "503 5.5.1 bad sequence of commands".to_owned()
            }
            "DATA" => {
                say(&mut stream, "354 end with <CRLF>.<CRLF>").await?;
                let Some(content) = content(room, &mut stream).await? else {
                    return Ok(());
                };
                finished(room, &mut session, content)
            }
            "QUIT" => {
                say(&mut stream, "221 2.0.0 bye").await?;
                return Ok(());
            }
            _ => "502 5.5.2 command not recognised".to_owned(),
        };
        if answer.is_empty() {
            std::future::pending::<()>().await;
        }
        say(&mut stream, &answer).await?;
    }
}

async fn say(stream: &mut BufReader<TcpStream>, answer: &str) -> io::Result<()> {
    stream
        .get_mut()
        .write_all(format!("{answer}\r\n").as_bytes())
        .await
}

/// A line without its end; `None` at the end of the connection.
async fn line(room: &Room, stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    (&mut *stream)
        .take(SIZE as u64)
        .read_until(b'\n', &mut bytes)
        .await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        room.wrong("a line that does not end with CRLF");
        return Ok(None);
    };
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

fn authenticate(room: &Room, session: &mut Session, line: &str) -> String {
    let Some((user, password)) = &room.login else {
        return "503 5.5.1 no AUTH here".to_owned();
    };
    let given = line.strip_prefix("AUTH PLAIN ").unwrap_or_default();
    let expected = STANDARD.encode(format!("\0{user}\0{password}"));
    if given != expected {
        return "535 5.7.8 authentication credentials invalid".to_owned();
    }
    session.user = Some(user.clone());
    "235 2.7.0 ok".to_owned()
}

fn sender(room: &Room, session: &mut Session, line: &str) -> String {
    if !session.greeted {
        room.wrong("MAIL before EHLO");
        return "503 5.5.1 say EHLO first".to_owned();
    }
    if room.login.is_some() && session.user.is_none() {
        return "530 5.7.0 authentication required".to_owned();
    }
    match between(line) {
        Some(from) => {
            session.from = Some(from);
            session.to.clear();
            "250 2.1.0 ok".to_owned()
        }
        None => "501 5.1.7 bad sender".to_owned(),
    }
}

fn recipient(room: &Room, session: &mut Session, line: &str) -> String {
    match between(line) {
        _ if session.from.is_none() => {
            room.wrong("RCPT before MAIL");
            "503 5.5.1 bad sequence of commands".to_owned()
        }
        Some(to) if to.starts_with("nobody@") => "550 5.1.1 no such user".to_owned(),
        Some(to) => {
            session.to.push(to);
            "250 2.1.5 ok".to_owned()
        }
        None => "501 5.1.3 bad recipient".to_owned(),
    }
}

fn between(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    address.contains('@').then(|| address.to_owned())
}

/// The mail until the line with a dot, with dots at the beginnings of lines as they were.
async fn content(room: &Room, stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut content = String::new();
    while let Some(line) = line(room, stream).await? {
        if line == "." {
            return Ok(Some(content));
        }
        if line.len() + 2 > LINE {
            room.wrong("a line of more than 1000 bytes");
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
        content.push_str("\r\n");
    }
    Ok(None)
}

fn finished(room: &Room, session: &mut Session, content: String) -> String {
    if let Some(answer) = room.scripted(".") {
        return answer;
    }
    if content.len() > SIZE {
        return "552 5.3.4 message too big".to_owned();
    }
    let head = content.split("\r\n\r\n").next().unwrap_or_default();
    if !head.is_ascii() {
        room.wrong("headers beyond ASCII");
        return "554 5.6.7 headers beyond ASCII".to_owned();
    }
    for header in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: "] {
        if !head.lines().any(|line| line.starts_with(header)) {
            room.wrong(&format!("no {header}"));
        }
    }
    room.lock().mails.push(Mail {
        from: session.from.take().unwrap_or_default(),
        to: std::mem::take(&mut session.to),
        user: session.user.clone(),
        content,
    });
    "250 2.0.0 queued".to_owned()
}
