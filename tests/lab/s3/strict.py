"""A WSGI layer that refuses what S3 refuses, before moto sees the request.

moto alone takes a wrong secret, a wrong checksum, and stores an empty body when a presigned PUT comes with a
form content type (as `curl --data-binary` sends it); real S3 does none of that.
"""

import datetime
import io
import socket
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.lab.s3 import integrity, sigv4
from tests.lab.s3.sigv4 import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass
class Switches:
    """What the lab can change while the server runs."""

    down: bool = False
    clock_ahead: datetime.timedelta = datetime.timedelta()
    failing: list[tuple[int, str]] = field(default_factory=list)
    """Answers (status, code) for the next requests, one each."""

    def now(self) -> datetime.datetime:
        """The server's idea of the time."""
        return datetime.datetime.now(datetime.UTC) + self.clock_ahead


@dataclass(frozen=True)
class Strict:
    """The layer; callable as a WSGI application."""

    app: "WSGIApplication"
    keys: Mapping[str, str]
    region: str
    switches: Switches

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass a good request on; answer any other as S3 does."""
        if self.switches.down:
            return _hang_up(environ, start_response)
        headers = _headers(environ)
        try:
            body = _body(environ, headers)  # read in any case: the rest would be taken for the next request
            if self.switches.failing:
                status, code = self.switches.failing.pop(0)
                raise Refused(status, code, "Please try again.")
            self._admit(environ, headers, body)
        except Refused as refusal:
            return _answer(refusal, environ, start_response)
        return self.app(environ, start_response)

    def _admit(self, environ: "WSGIEnvironment", headers: Mapping[str, str], body: bytes) -> None:
        path, _, query = str(environ["RAW_URI"]).partition("?")
        request = sigv4.Request(environ["REQUEST_METHOD"], path, _pairs(query), headers)
        claims = sigv4.verify(request, self.keys, self.region, self.switches.now())
        data, trailer = integrity.unpack(body, claims.payload)
        integrity.check(data, {**headers, **trailer})
        _replace_body(environ, data, trailer)


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[key.replace("_", "-").lower()] = environ[key]
    return headers


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(urllib.parse.unquote(name), urllib.parse.unquote(value)) for name, _, value in parts]


def _body(environ: "WSGIEnvironment", headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return bytes(environ["wsgi.input"].read())
    length = headers.get("content-length")
    if length is None:
        if environ["REQUEST_METHOD"] == "PUT":
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        return b""
    body = bytes(environ["wsgi.input"].read(int(length)))
    if len(body) < int(length):
        raise Refused(400, "IncompleteBody", "The request body terminated unexpectedly")
    return body


def _replace_body(environ: "WSGIEnvironment", data: bytes, trailer: Mapping[str, str]) -> None:
    """Hand moto the plain data, so that it need not (and cannot wrongly) undo any encoding."""
    environ["wsgi.input"] = io.BytesIO(data)
    environ["CONTENT_LENGTH"] = str(len(data))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    encodings = [part.strip() for part in environ.pop("HTTP_CONTENT_ENCODING", "").split(",")]
    if rest := ",".join(part for part in encodings if part and part != "aws-chunked"):
        environ["HTTP_CONTENT_ENCODING"] = rest
    if str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")).startswith("STREAMING-"):
        environ["HTTP_X_AMZ_CONTENT_SHA256"] = sigv4.UNSIGNED
    for name, value in trailer.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    for algorithm in integrity.ALGORITHMS:  # moto keeps a checksum only where this header of the SDKs names it
        if environ.get(f"HTTP_X_AMZ_CHECKSUM_{algorithm.upper()}"):
            environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", algorithm.upper())
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        environ["CONTENT_TYPE"] = "application/octet-stream"  # moto reads a form body as empty


def _answer(refusal: Refused, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message></Error>"
    ).encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start_response(f"{refusal.status} {refusal.code}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _hang_up(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A kept-alive connection of a server that is down breaks as a new one is refused."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    start_response("503 Service Unavailable", [("Content-Length", "0"), ("Connection", "close")])
    return []
