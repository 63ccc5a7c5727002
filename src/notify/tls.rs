//! TLS: what is wrong with a server that cannot be trusted, and what to do.

use std::error::Error;

use rustls::CertificateError;

/// What is wrong with the server's certificate, and what to do; `None` where it is something else.
pub(super) fn untrusted(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut causes = std::iter::successors(Some(error), |error| cause(*error));
    let failed = causes.find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
    let rustls::Error::InvalidCertificate(why) = failed else {
        return None;
    };
    Some(match why {
        CertificateError::UnknownIssuer => {
            "no known authority has signed the server's certificate; name the authority by ca_file"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name; write the server as the certificate has it"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it there"
        }
        _ => "the server's certificate is not trusted; see to it there",
    })
}

/// What is behind an error. One of input and output does not call what it holds its source.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::robots::{self, ALL, meaning, path, robot, wording};
    use super::super::tls_front::{Front, OTHER, OURS};
    use super::super::{Answer, Form, Parcel, open, samples};
    use crate::settings::{Mention, Receiver};
    use crate::words::Language;

    /// What the service says behind a front whose authority is known, or another.
    async fn answer(name: &'static str, host: &str, ca: Option<&[u8]>) -> Answer {
        let behind = robot(name, Mention::default()).await;
        let address = behind.fake.url("");
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let front = Front::before(port.unwrap(), false).await;
        let secret = matches!(name, "feishu" | "dingtalk").then_some("SECtest_secret");
        let url = format!("https://{host}:{}{}", front.port, path(name));
        let receiver = Receiver {
            ca: ca.map(<[u8]>::to_vec),
            ..Receiver::local(robots::channel(name, &url, secret, Mention::default()))
        };
        let (channel, _) = open(&receiver, wording(Language::Zh)).unwrap();
        let parcel = Parcel {
            notices: &[samples::hollow()],
            form: Form::Full,
            shown: None,
            tried_since: None,
        };
        channel.send(parcel).await
    }

    #[tokio::test]
    async fn every_service_is_reached_whose_authority_is_in_the_settings() {
        for name in ALL {
            assert_eq!(
                meaning(&answer(name, "127.0.0.1", Some(OURS)).await),
                "ok",
                "{name}"
            );
        }
        assert_eq!(meaning(&answer("webhook", "localhost", Some(OURS)).await), "ok");
    }

    #[tokio::test]
    async fn a_server_whose_authority_is_another_gets_nothing_and_the_reason_says_what_to_do() {
        for ca in [Some(OTHER), None] {
            let refused = format!("{:?}", answer("webhook", "127.0.0.1", ca).await);
            let says =
                "no known authority has signed the server's certificate; name the authority by ca_file";
            assert!(
                refused.contains("maybe_shown: false") && refused.contains(says),
                "{refused}"
            );
        }
        let elsewhere = format!("{:?}", answer("webhook", "127.0.0.2", Some(OURS)).await);
        assert!(elsewhere.contains("is for another name"), "{elsewhere}");
    }
}
