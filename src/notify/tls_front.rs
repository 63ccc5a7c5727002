//! TLS before a server that has none, for tests: with a certificate that an authority of its own has signed.

use std::io;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The authority that signed its certificate.
pub(super) const OURS: &[u8] = include_bytes!("email/tls/ours.pem");
/// Another one.
pub(super) const OTHER: &[u8] = include_bytes!("email/tls/other.pem");

/// TLS before a server that has none.
pub(super) struct Front {
    /// Where it waits.
    pub(super) port: u16,
    /// What clients said before there was TLS.
    pub(super) clear: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// In front of the server at a port of this machine; after STARTTLS, or from the first byte.
    pub(super) async fn before(behind: u16, starttls: bool) -> Front {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("email/tls/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("email/tls/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // On every address of this machine: its certificate is for one of them.
        let listener = TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
        let front = Front {
            port: listener.local_addr().unwrap().port(),
            clear: Arc::default(),
        };
        let clear = Arc::clone(&front.clear);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, clear) = (acceptor.clone(), Arc::clone(&clear));
                tokio::spawn(async move { pass(stream, &acceptor, starttls, &clear, behind).await });
            }
        });
        front
    }
}

async fn pass(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
    starttls: bool,
    clear: &Mutex<Vec<String>>,
    behind: u16,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", behind)).await?;
    if starttls {
        for answer in ["220 mail.example ESMTP", "250-mail.example\r\n250 STARTTLS"] {
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            let said = line(&mut stream).await?;
            clear.lock().unwrap().push(said);
        }
        stream.write_all(b"220 2.0.0 go ahead\r\n").await?;
        // The greeting was ours.
        line(&mut server).await?;
    }
    let mut inside = acceptor.accept(stream).await?;
    tokio::io::copy_bidirectional(&mut inside, &mut server).await?;
    Ok(())
}

async fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
