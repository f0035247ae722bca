"""AWS Signature Version 4, seen from the server: does this request carry a valid signature?

Source: AWS documentation, "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference.
"""

import datetime
import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

UNSIGNED = "UNSIGNED-PAYLOAD"
_LONGEST_EXPIRY = 604_800  # seconds: seven days
_LARGEST_SKEW = 900  # seconds
_HEADER_FORM = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """S3's answer to a request it does not carry out: HTTP status, error code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Keep the three parts; the message is S3's own wording where that is known."""
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Request:
    """What a signature covers, exactly as it came over the wire."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def presigned(self) -> bool:
        """Whether the signature came in the query and not in the Authorization header."""
        return any(name == "X-Amz-Signature" for name, _ in self.query)


@dataclass(frozen=True)
class Signature:
    """The claims of a request about its own signature."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    payload: str
    """The hex sha256 of the body, or one of S3's words for an unsigned or streamed body."""
    expires: int | None
    """Seconds for which a presigned URL holds; None for a signed header."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the claims; a request without any is anonymous and refused."""
        return cls._from_query(request) if request.presigned else cls._from_header(request)

    @classmethod
    def _from_query(cls, request: Request) -> Self:
        query = dict(request.query)
        try:
            expires = int(query["X-Amz-Expires"])
            signed, date = query["X-Amz-SignedHeaders"], query["X-Amz-Date"]
            scope = query["X-Amz-Credential"]
        except (KeyError, ValueError):
            raise Refused(
                400, "AuthorizationQueryParametersError", "Query-string authentication is incomplete"
            ) from None
        if not 0 < expires <= _LONGEST_EXPIRY:
            raise Refused(
                400,
                "AuthorizationQueryParametersError",
                "X-Amz-Expires must be less than a week (in seconds)",
            )
        payload = request.headers.get("x-amz-content-sha256", UNSIGNED)
        return cls(*_scope(scope), tuple(signed.split(";")), query["X-Amz-Signature"], date, payload, expires)

    @classmethod
    def _from_header(cls, request: Request) -> Self:
        found = _HEADER_FORM.match(request.headers.get("authorization", ""))
        if not found:
            raise Refused(403, "AccessDenied", "Access Denied")
        scope, signed, signature = found.groups()
        payload = request.headers.get("x-amz-content-sha256")
        if payload is None:
            raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        date = request.headers.get("x-amz-date", "")
        return cls(*_scope(scope), tuple(signed.split(";")), signature, date, payload, None)


def _scope(credential: str) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise Refused(400, "AuthorizationHeaderMalformed", "The Credential is malformed")
    return parts[0], parts[1], parts[2], parts[3]


def verify(request: Request, keys: Mapping[str, str], region: str, now: datetime.datetime) -> Signature:
    """Check signature, scope, time and expiry as S3 does; raises Refused, returns the claims."""
    claims = Signature.of(request)
    secret = keys.get(claims.access_key)
    if secret is None:
        raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if (claims.region, claims.service) != (region, "s3"):
        raise Refused(
            400,
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{claims.region}' is wrong; expecting '{region}'",
        )
    _check_time(claims, now)
    _check_coverage(request, claims)
    if not hmac.compare_digest(_sign(request, claims, secret), claims.signature):
        raise Refused(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
    return claims


def _check_time(claims: Signature, now: datetime.datetime) -> None:
    try:
        signed_at = datetime.datetime.strptime(claims.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise Refused(403, "AccessDenied", "AWS authentication requires a valid Date") from None
    if claims.day != claims.date[:8]:
        raise Refused(400, "AuthorizationHeaderMalformed", "Date in Credential scope does not match the date")
    age = (now - signed_at).total_seconds()
    if claims.expires is not None and age > claims.expires:
        raise Refused(403, "AccessDenied", "Request has expired")
    if age < -_LARGEST_SKEW or (claims.expires is None and age > _LARGEST_SKEW):
        raise Refused(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )


def _check_coverage(request: Request, claims: Signature) -> None:
    """Every x-amz- header and the host have to be under the signature."""
    needed = {name for name in request.headers if name.startswith("x-amz-")} | {"host"}
    if claims.expires is not None:
        needed.discard("x-amz-content-sha256")
    if not needed <= set(claims.signed_headers):
        raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed")


def _quote(text: str, *, keep: str = "") -> str:
    return urllib.parse.quote(text, safe="-_.~" + keep)


def _sign(request: Request, claims: Signature, secret: str) -> str:
    query = sorted((_quote(k), _quote(v)) for k, v in request.query if k != "X-Amz-Signature")
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in claims.signed_headers]
    canonical = "\n".join(
        [
            request.method,
            _quote(urllib.parse.unquote(request.path), keep="/"),
            "&".join(f"{k}={v}" for k, v in query),
            *headers,
            "",
            ";".join(claims.signed_headers),
            claims.payload,
        ]
    )
    scope = f"{claims.day}/{claims.region}/{claims.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{claims.date}\n{scope}\n{digest}"
    key = b"AWS4" + secret.encode()
    for part in (claims.day, claims.region, claims.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()
