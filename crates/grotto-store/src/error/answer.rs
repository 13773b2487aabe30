//! What servers of buckets answer when they refuse, and what a person can do about it.
//!
//! Owns: the codes that are known, over all vendors. Never: repeats more of an answer than its code, as the rest is
//! whatever the server likes.

use std::error::Error as StdError;

use object_store::client::HttpError;

use super::{ErrorKind, status};

/// A refusal that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: ErrorKind,
    /// What is wrong, and behind a colon how to mend it.
    pub(super) reason: String,
}

/// Codes, how bad that is, and what to say.
const CODES: [(&[&str], ErrorKind, &str); 10] = [
    (
        &["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"],
        ErrorKind::Invalid,
        "there is no such bucket: create it, or mend the address",
    ),
    (
        &["InvalidBucketName", "InvalidResourceName"],
        ErrorKind::Invalid,
        "that is no name of a bucket: mend the address",
    ),
    (
        &["InvalidAccessKeyId", "InvalidAccessKey"],
        ErrorKind::Invalid,
        "the access key is not known there: check the key, and that the endpoint is the one it is for",
    ),
    (
        &["SignatureDoesNotMatch"],
        ErrorKind::Invalid,
        "the secret does not fit the access key: check the secret",
    ),
    (
        &[
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
            "NoAuthenticationInformation",
        ],
        ErrorKind::Invalid,
        "the credentials are refused: check account and key, and that the clock of this host is right",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        ErrorKind::Invalid,
        "the clock of this host differs from that of the store by too much: set it, by NTP for example",
    ),
    (
        &["ExpiredToken", "InvalidToken", "TokenRefreshRequired"],
        ErrorKind::Invalid,
        "the credentials have expired: renew them, or use a role that the host renews by itself",
    ),
    (
        &[
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "TemporaryRedirect",
        ],
        ErrorKind::Invalid,
        "the bucket is in another region: set AWS_REGION, or ?region= in the address",
    ),
    (
        &[
            "AccessDenied",
            "AllAccessDisabled",
            "AccountProblem",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "InsufficientAccountPermissions",
        ],
        ErrorKind::Invalid,
        "the credentials lack a permission: reading needs to get and to list objects, writing also to put and to delete",
    ),
    (
        &["SlowDown", "ServerBusy", "TooManyRequests"],
        ErrorKind::Overloaded,
        "the store asks for less",
    ),
];

/// Where hosts in a cloud ask for the credentials of their role.
const ROLES: [&str; 3] = [
    "//169.254.169.254/",
    "//169.254.170.2/",
    "//metadata.google.internal/",
];

impl Answer {
    /// The first that is understood among an error and its causes.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut causes = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.push(error);
            next = error.source();
        }
        Self::of_role(&causes)
            .or_else(|| causes.iter().find_map(|error| Self::of_status(*error)))
            .or_else(|| Self::of_transfer(&causes))
    }

    /// What was asked is not the store, but the host, for credentials.
    fn of_role(causes: &[&(dyn StdError + 'static)]) -> Option<Self> {
        let asks = |text: &str| ROLES.iter().any(|service| text.contains(service));
        causes.iter().any(|cause| asks(&cause.to_string())).then(|| Self {
            kind: ErrorKind::Unavailable,
            reason: "no credentials are set, and this host offers none by a role: set those of the vendor, such as \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        })
    }

    fn of_status(error: &dyn StdError) -> Option<Self> {
        let text = error.to_string();
        if text.starts_with("Received redirect without LOCATION") {
            return Self::of_code("PermanentRedirect");
        }
        let status = status(error)?;
        let code = code_of(&text);
        code.and_then(Self::of_code).or_else(|| {
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            let kind = match status {
                401 | 403 => ErrorKind::Invalid,
                429 | 503 => return Self::of_code("SlowDown"),
                _ => ErrorKind::Unavailable,
            };
            let reason = format!("it answered {status}{code}");
            Some(Self { kind, reason })
        })
    }

    fn of_code(code: &str) -> Option<Self> {
        let (_, kind, what) = CODES.iter().find(|(codes, ..)| codes.contains(&code))?;
        let reason = match code {
            "SlowDown" => (*what).to_owned(),
            code => format!("{what} ({code})"),
        };
        Some(Self {
            kind: *kind,
            reason,
        })
    }

    /// No answer at all.
    fn of_transfer(causes: &[&(dyn StdError + 'static)]) -> Option<Self> {
        causes.iter().find(|cause| cause.is::<HttpError>())?;
        let last = causes.last()?.to_string();
        let said: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let says = |what: &str| said.iter().any(|text| text.contains(what));
        let (kind, mend) = if says("URL scheme is not allowed") {
            let mend = ": use https, or set AWS_ALLOW_HTTP, GOOGLE_ALLOW_HTTP or AZURE_ALLOW_HTTP";
            (ErrorKind::Invalid, mend)
        } else if says("certificate") {
            let mend = ": check the endpoint, and that this host trusts who signed its certificate (SSL_CERT_FILE)";
            (ErrorKind::Unavailable, mend)
        } else {
            (ErrorKind::Unavailable, "")
        };
        let reason = format!("no connection ({last}){mend}");
        Some(Self { kind, reason })
    }
}

/// The code in the body of an answer, which all three vendors give in the same way.
fn code_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain =
        !code.is_empty() && code.len() <= 60 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the client words it.
    #[derive(Debug)]
    struct Said(String);

    impl std::fmt::Display for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl StdError for Said {}

    fn answer(status: &str, code: &str) -> Answer {
        let text = format!(
            "Server returned non-2xx status code: {status}: <Error><Code>{code}</Code><Message>hidden</Message></Error>"
        );
        Answer::of(&Said(text)).unwrap()
    }

    #[test]
    fn what_is_refused_is_told_with_its_mend() {
        for (status, code, expected) in [
            (
                "404 Not Found",
                "NoSuchBucket",
                "create it, or mend the address",
            ),
            (
                "404 Not Found",
                "ContainerNotFound",
                "create it, or mend the address",
            ),
            ("403 Forbidden", "InvalidAccessKeyId", "check the key"),
            ("403 Forbidden", "SignatureDoesNotMatch", "check the secret"),
            ("403 Forbidden", "RequestTimeTooSkewed", "set it, by NTP"),
            ("400 Bad Request", "ExpiredToken", "renew them"),
            (
                "301 Moved Permanently",
                "PermanentRedirect",
                "set AWS_REGION",
            ),
            (
                "400 Bad Request",
                "AuthorizationHeaderMalformed",
                "set AWS_REGION",
            ),
            ("403 Forbidden", "AccessDenied", "to list objects"),
        ] {
            let answer = answer(status, code);
            assert_eq!(answer.kind, ErrorKind::Invalid, "{code}");
            assert!(
                answer.reason.contains(expected),
                "{code}: {}",
                answer.reason
            );
            assert!(
                answer.reason.ends_with(&format!("({code})")),
                "{}",
                answer.reason
            );
        }
    }

    #[test]
    fn a_host_without_a_role_is_told_what_to_set() {
        let asked =
            "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error";
        let answer = Answer::of(&Said(asked.to_owned())).unwrap();
        assert_eq!(answer.kind, ErrorKind::Unavailable);
        assert!(
            answer.reason.contains("set those of the vendor"),
            "{answer:?}"
        );
    }

    #[test]
    fn what_is_not_known_is_told_by_its_code_and_nothing_else_of_it() {
        let odd = answer("400 Bad Request", "EntityTooLarge");
        assert_eq!(odd.reason, "it answered 400 EntityTooLarge");
        assert_eq!(odd.kind, ErrorKind::Unavailable);
        assert_eq!(answer("403 Forbidden", "a b").kind, ErrorKind::Invalid);
        assert_eq!(answer("403 Forbidden", "a b").reason, "it answered 403");
        assert_eq!(
            answer("503 Slow Down", "SlowDown").kind,
            ErrorKind::Overloaded
        );
        assert_eq!(
            Answer::of(&Said("<Code>NoSuchBucket</Code>".to_owned())),
            None
        );
    }
}
