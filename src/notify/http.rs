//! HTTP as all channels use it: one request, one answer, within a bounded time. Nothing that is said of it holds the
//! address, which is a secret with most services.
//!
//! Redirects are not followed. A private address is refused, this machine's own included, and so is a name that stands
//! for one (see [`Guard`]), unless the receiver says that it is meant: a message must not reach a service of the inner
//! network by mistake, or because somebody else's name server says so.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url, redirect};

use super::Answer;
use super::tls::untrusted;
use crate::settings::{Receiver, Secret, is_loopback, is_public, literal};

/// Bytes of an answer that are read; those of chat services are a few words.
const ANSWER_BYTES: usize = 4096;

/// Bytes of what was asked for that are read.
const READ_BYTES: usize = 4 << 20;

/// Pieces of an address from this length on may be secrets.
const SECRET_BYTES: usize = 8;

/// What is declared a secret is one from this length on: without a shorter one no sentence would be left.
const DECLARED_BYTES: usize = 4;

/// The way to one server.
pub(super) struct Http {
    client: Client,
    url: Url,
    shown: String,
    timeout: Duration,
    /// What no answer may repeat, longest first.
    hidden: Vec<String>,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// Status of the answer.
    pub(super) status: u16,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The beginning of its body.
    pub(super) body: String,
}

impl Reply {
    /// A header as text; one that is no text counts as an empty one.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or(""))
    }

    /// What the server says of the time to wait, see [`super::answer::retry_after`].
    pub(super) fn retry_after(&self) -> Option<&str> {
        self.header(RETRY_AFTER.as_str())
    }
}

impl Http {
    /// Prepares a way to the server of this address; `setting` names where it was written, for errors.
    ///
    /// # Errors
    /// When the address is no URL, or is a private one that the receiver does not allow, or no HTTP client can be
    /// made. The text never holds the address.
    pub(super) fn new(setting: &str, url: &str, receiver: &Receiver) -> Result<Http, String> {
        let url = Url::parse(url.trim())
            .map_err(|error| format!("{setting}: the address is not a URL: {error}"))?;
        let host = match url.host_str() {
            Some(host) if matches!(url.scheme(), "http" | "https") => host.to_owned(),
            _ => {
                return Err(format!(
                    "{setting}: the address must begin with https:// and name a host"
                ));
            }
        };
        let open = receiver.allow_private;
        let is_private = is_loopback(&url) || literal(&url).is_some_and(|ip| !is_public(ip));
        if is_private && !open {
            return Err(format!("{setting}: {}", private(&host)));
        }
        Ok(Http {
            client: client(&url, open, receiver.ca.as_deref()).map_err(|why| format!("{setting}: {why}"))?,
            shown: format!("{}://{host}/…", url.scheme()),
            hidden: parts(&url),
            url,
            timeout: receiver.timeout,
        })
    }

    /// The same, and what a server answers is read without these secrets as well.
    pub(super) fn hiding(mut self, secrets: &[Secret]) -> Http {
        let secrets = secrets.iter().map(|secret| secret.reveal().to_owned());
        self.hidden
            .extend(secrets.filter(|secret| secret.len() >= DECLARED_BYTES));
        longest_first(&mut self.hidden);
        self
    }

    /// The address, for logs.
    pub(super) fn destination(&self) -> &str {
        &self.shown
    }

    /// The address. It is a secret.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends JSON to the address.
    ///
    /// # Errors
    /// What it means that no answer came.
    pub(super) async fn post(&self, body: &serde_json::Value) -> Result<Reply, Answer> {
        self.post_to(self.url().clone(), HeaderMap::new(), body.to_string())
            .await
    }

    /// Sends JSON to another address of the same server, with more headers.
    ///
    /// # Errors
    /// What it means that no answer came.
    pub(super) async fn post_to(&self, url: Url, headers: HeaderMap, body: String) -> Result<Reply, Answer> {
        // An attempt may have secrets of its own, such as a signature.
        let own = if url == self.url { Vec::new() } else { parts(&url) };
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json");
        let reply = self
            .send(request.headers(headers).body(body), ANSWER_BYTES)
            .await?;
        Ok(Reply {
            body: without(reply.body, &own),
            ..reply
        })
    }

    /// Reads what is at another address of the same server.
    ///
    /// # Errors
    /// What it means that no answer came.
    pub(super) async fn read(&self, url: Url, headers: HeaderMap) -> Result<Reply, Answer> {
        self.send(self.client.get(url).headers(headers), READ_BYTES).await
    }

    async fn send(&self, request: RequestBuilder, bytes: usize) -> Result<Reply, Answer> {
        let response = request.timeout(self.timeout).send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read(response, bytes).await.map_err(failed)?;
        Ok(Reply {
            status,
            headers,
            body: without(body, &self.hidden),
        })
    }
}

/// The parts of an address that may be secret: all of it after its host, and each longer piece of that, as it is written
/// and as it is meant.
fn parts(url: &Url) -> Vec<String> {
    let mut parts = vec![url.as_str().to_owned(), url.path().to_owned()];
    parts.extend(url.query().map(str::to_owned));
    parts.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
    let query = url.query().into_iter().flat_map(|query| query.split('&'));
    parts.extend(
        query
            .filter_map(|pair| pair.split_once('='))
            .map(|(_, value)| value.to_owned()),
    );
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    // Shorter pieces are words of everybody's, such as `hook`.
    parts.retain(|part| part.len() >= SECRET_BYTES);
    longest_first(&mut parts);
    parts
}

fn longest_first(parts: &mut Vec<String>) {
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
}

/// A text in which secrets are crossed out.
pub(super) fn without(mut text: String, hidden: &[String]) -> String {
    for part in hidden {
        if text.contains(part.as_str()) {
            text = text.replace(part.as_str(), "…");
        }
    }
    text
}

fn client(url: &Url, open: bool, ca: Option<&[u8]>) -> Result<Client, String> {
    // Fails when another part of the process has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tautline/", env!("CARGO_PKG_VERSION")));
    // A proxy of the environment cannot reach this machine's own loopback.
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if !open {
        builder = builder.dns_resolver(Guard {
            host: url.host_str().unwrap_or_default().to_owned(),
        });
    }
    if let Some(pem) = ca {
        let authorities = Certificate::from_pem_bundle(pem);
        let authorities = authorities.map_err(|error| format!("ca_file: {}", with_causes(&error)))?;
        builder = builder.tls_certs_merge(authorities);
    }
    builder
        .build()
        .map_err(|error| format!("cannot make an HTTP client: {}", with_causes(&error)))
}

/// Looks names up, and refuses the server's name where it stands for private addresses only. Other names are those of
/// a proxy, which looks the server's name up itself and is wherever the environment says.
struct Guard {
    host: String,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let is_guarded = name.as_str() == self.host;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let taken = if is_guarded {
                public(found).ok_or_else(|| private(name.as_str()))?
            } else {
                found
            };
            Ok(Box::new(taken.into_iter()) as Addrs)
        })
    }
}

/// The public ones; `None` where there are none.
pub(super) fn public(mut addresses: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
    addresses.retain(|address| is_public(address.ip()));
    (!addresses.is_empty()).then_some(addresses)
}

pub(super) fn private(host: &str) -> String {
    format!("{host} is on a private network; if that is meant, add allow_private: true to the receiver")
}

async fn read(mut response: Response, bytes: usize) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == bytes {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// No answer. Only where no connection was made is it sure that nobody saw the message.
fn failed(error: reqwest::Error) -> Answer {
    let maybe_shown = !error.is_connect();
    let error = error.without_url();
    let mut reason = with_causes(&error);
    if let Some(why) = untrusted(&error) {
        reason = format!("{reason}: {why}");
    }
    Answer::Retry {
        after: None,
        maybe_shown,
        reason,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Channel, SlackWebhook};

    fn receiver() -> Receiver {
        let url = Secret::new("https://unused.example");
        Receiver::new(Channel::SlackWebhook(SlackWebhook::at(url)))
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_being_told() {
        for (url, reason) in [
            ("", "x: the address is not a URL"),
            ("verysecret", "x: the address is not a URL"),
            ("hooks.example.com/verysecret", "x: the address is not a URL"),
            ("ftp://host/verysecret", "x: the address must begin with https://"),
            (
                "https://10.0.0.1/verysecret",
                "x: 10.0.0.1 is on a private network",
            ),
            (
                "http://127.0.0.1:9/verysecret",
                "x: 127.0.0.1 is on a private network",
            ),
            (
                "http://localhost:9/verysecret",
                "x: localhost is on a private network",
            ),
            (
                "https://[fe80::1]/verysecret",
                "x: [fe80::1] is on a private network",
            ),
        ] {
            let told = Http::new("x", url, &receiver()).err().unwrap();
            assert!(told.starts_with(reason) && !told.contains("verysecret"), "{told}");
        }
        let allowed = Receiver {
            allow_private: true,
            ..receiver()
        };
        assert!(Http::new("x", "https://10.0.0.1/s", &allowed).is_ok());
        assert!(Http::new("x", "http://127.0.0.1:9/s", &allowed).is_ok());
        assert!(Http::new("x", "http://localhost:9/s", &allowed).is_ok());
    }

    #[test]
    fn what_is_secret_in_an_address_is_crossed_out_of_what_a_server_says() {
        let url = "https://a.example/robot/send?access_token=very%2Fsecret&key=k";
        let http = Http::new("x", url, &receiver()).unwrap().hiding(&[
            Secret::new("SECsecret"),
            Secret::new("pin7"),
            Secret::new(""),
        ]);
        for (said, read) in [
            ("no /robot/send here", "no … here"),
            ("bad very/secret or very%2Fsecret", "bad … or …"),
            (url, "…"),
            ("signed by SECsecret", "signed by …"),
            ("signed by pin7", "signed by …"),
            ("send a robot", "send a robot"),
        ] {
            assert_eq!(without(said.to_owned(), &http.hidden), read);
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_the_address_that_it_stands_for() {
        let guard = Guard {
            host: "localhost".to_owned(),
        };
        let refused = guard.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert_eq!(
            refused.to_string(),
            "localhost is on a private network; if that is meant, add allow_private: true to the receiver"
        );
        let proxy = Guard {
            host: "elsewhere.example".to_owned(),
        };
        assert!(proxy.resolve("localhost".parse().unwrap()).await.is_ok());
    }

    #[test]
    fn of_several_addresses_the_public_ones_are_taken() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let (public_one, private_one) = ("1.1.1.1:0", "10.0.0.1:0");
        assert_eq!(
            public(addresses(&[private_one, public_one])),
            Some(addresses(&[public_one]))
        );
        assert_eq!(public(addresses(&[private_one, "[::1]:0"])), None);
        assert_eq!(public(Vec::new()), None);
    }
}
