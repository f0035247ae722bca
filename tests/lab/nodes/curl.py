"""``curl`` of a lab machine, as far as it is used: HTTP(S) requests with client certificates, uploads, ``--config -``.

Exit statuses are curl's: 2 usage, 6 name, 7 connection, 22 HTTP error with ``-f``, 26 local file, 28 time, 35 TLS, 58
client certificate, 60 peer certificate, 77 CA file.
"""

import http.client
import os
import shlex
import socket
import ssl
import sys
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import SplitResult, urlsplit

_VALUES = {
    "-m": "max-time",
    "--max-time": "max-time",
    "--connect-timeout": "connect-timeout",
    "--cacert": "cacert",
    "-E": "cert",
    "--cert": "cert",
    "--key": "key",
    "-T": "upload-file",
    "--upload-file": "upload-file",
    "-o": "output",
    "--output": "output",
    "-w": "write-out",
    "--write-out": "write-out",
    "-X": "request",
    "--request": "request",
    "-d": "data-binary",
    "--data": "data-binary",
    "--data-binary": "data-binary",
    "--url": "url",
    "--retry": "retry",
    "--resolve": "resolve",
}
_SWITCHES = {
    "-s": "silent",
    "--silent": "silent",
    "-S": "show-error",
    "--show-error": "show-error",
    "-f": "fail",
    "--fail": "fail",
    "-k": "insecure",
    "--insecure": "insecure",
    "-g": "globoff",
    "--globoff": "globoff",
    "-L": "location",
    "--location": "location",
    "-I": "head",
    "--head": "head",
    "--no-progress-meter": "no-progress-meter",
}
_LISTS = {"-H": "header", "--header": "header"}
_CHUNK = 1 << 20


class CurlError(Exception):
    """Ends the program with curl's status and sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Options:
    """What the command line and config files said."""

    values: dict[str, str] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    headers: list[str] = field(default_factory=list)

    def take(self, words: list[str]) -> None:
        """Read command-line words; raises CurlError for an unknown one."""
        while words:
            word = words.pop(0)
            if word in {"-K", "--config"}:
                self.read_config(words.pop(0))
            elif word in _SWITCHES:
                self.switches.add(_SWITCHES[word])
            elif word in _VALUES:
                self.values[_VALUES[word]] = words.pop(0)
            elif word in _LISTS:
                self.headers.append(words.pop(0))
            elif word.startswith("-") and not word.startswith("--") and len(word) > 2:
                words[:0] = _separate(word)
            elif word.startswith("-"):
                raise CurlError(2, f"option {word}: is unknown")
            else:
                self.values["url"] = word

    def read_config(self, name: str) -> None:
        """Read a config file, ``-`` is stdin: one option a line, ``name = "value"``."""
        text = sys.stdin.read() if name == "-" else _open(name).read().decode()
        for line in text.splitlines():
            option, _, value = line.strip().partition("=")
            if not option.strip() or option.startswith("#"):
                continue
            word = option.strip()
            word = word if word.startswith("-") else f"--{word}"
            self.take([word, *shlex.split(value)])


def _separate(word: str) -> list[str]:
    """``-sSfo x`` is ``-s -S -f -o x``; a value may follow its letter directly."""
    letter = word[:2]
    if letter in _SWITCHES:
        return [letter, f"-{word[2:]}"]
    return [letter, word[2:]]


def _open(name: str) -> IO[bytes]:
    try:
        return open(name, "rb")  # noqa: PTH123  # pathlib would slow the start; the file lives as long as we do
    except OSError as error:
        raise CurlError(26, f"Failed to open {name}: {error.strerror}") from error


def _context(options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if "insecure" in options.switches:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if authority := options.values.get("cacert"):
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise CurlError(77, f"error setting certificate file: {authority}") from error
    if certificate := options.values.get("cert"):
        try:
            context.load_cert_chain(certificate, options.values.get("key"))
        except (OSError, ssl.SSLError) as error:
            raise CurlError(58, f"could not load PEM client certificate: {error}") from error
    return context


def _body(options: Options) -> tuple[IO[bytes] | bytes | None, int]:
    if name := options.values.get("upload-file"):
        source = sys.stdin.buffer if name == "-" else _open(name)
        return source, -1 if name == "-" else os.fstat(source.fileno()).st_size
    data = options.values.get("data-binary")
    if data is None:
        return None, 0
    if data.startswith("@"):
        content = sys.stdin.buffer.read() if data == "@-" else _open(data[1:]).read()
    else:
        content = data.encode()
    return content, len(content)


def _headers(options: Options, length: int, *, form: bool) -> dict[str, str]:
    headers = {"User-Agent": "curl/7.88.1", "Accept": "*/*"}
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    for line in options.headers:
        name, _, value = line.partition(":")
        for known in [k for k in headers if k.lower() == name.lower()]:
            del headers[known]
        if value.strip():
            headers[name] = value.strip()
    sized = any(name.lower() in {"content-length", "transfer-encoding"} for name in headers)
    if length > 0 and not sized:
        headers["Content-Length"] = str(length)
    return headers


def _connection(options: Options, url: SplitResult) -> http.client.HTTPConnection:
    limit = float(options.values.get("max-time", options.values.get("connect-timeout", "300")))
    host = url.hostname or ""
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, url.port, timeout=limit, context=_context(options))
    return http.client.HTTPConnection(host, url.port, timeout=limit)


def _method(options: Options) -> str:
    if "head" in options.switches:
        return "HEAD"
    if "upload-file" in options.values:
        return options.values.get("request", "PUT")
    return options.values.get("request", "POST" if "data-binary" in options.values else "GET")


def transfer(options: Options) -> int:
    """Make the request, write the answer; returns the exit status, raises CurlError."""
    if "url" not in options.values:
        raise CurlError(2, "no URL specified")
    url = urlsplit(options.values["url"])
    body, length = _body(options)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    form = "data-binary" in options.values
    connection = _connection(options, url)
    headers = _headers(options, length, form=form)
    chunked = length < 0 and "Content-Length" not in headers
    connection.request(_method(options), target, body, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    failed = "fail" in options.switches and answer.status >= 400
    _write(options, answer, failed=failed)
    sys.stdout.buffer.write(_report(options, answer.status).encode())
    sys.stdout.buffer.flush()
    if failed:
        raise CurlError(22, f"The requested URL returned error: {answer.status}")
    return 0


def _write(options: Options, answer: http.client.HTTPResponse, *, failed: bool) -> None:
    name = options.values.get("output", "-")
    target = sys.stdout.buffer if name == "-" else open(name, "wb")  # noqa: PTH123, SIM115  # as in _open
    while data := answer.read(_CHUNK):
        if not failed:
            target.write(data)
    target.flush()


def _report(options: Options, status: int) -> str:
    text = options.values.get("write-out", "").replace("\\n", "\n").replace("\\t", "\t")
    return text.replace("%{http_code}", f"{status:03d}").replace("%{response_code}", f"{status:03d}")


def _explain(error: Exception, options: Options) -> CurlError:
    """curl's status and sentence for what went wrong on the network."""
    if isinstance(error, CurlError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return CurlError(60, f"SSL certificate problem: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return CurlError(28, "Operation timed out")
    if isinstance(error, ssl.SSLError):
        return CurlError(35, f"TLS connect error: {error.reason}")
    if isinstance(error, socket.gaierror):
        return CurlError(6, f"Could not resolve host: {urlsplit(options.values['url']).hostname}")
    if isinstance(error, http.client.HTTPException):
        return CurlError(52, "Empty reply from server")
    url = urlsplit(options.values["url"])
    return CurlError(7, f"Failed to connect to {url.hostname} port {url.port}: {error}")


def main() -> int:
    """curl's exit status."""
    options = Options()
    try:
        options.take(sys.argv[1:])
        return transfer(options)
    except (OSError, http.client.HTTPException, CurlError) as error:
        problem = _explain(error, options)
        if "silent" not in options.switches or "show-error" in options.switches:
            sys.stderr.write(f"curl: ({problem.status}) {problem}\n")
        if problem.status != 22:
            sys.stdout.write(_report(options, 0))
        return problem.status


if __name__ == "__main__":
    sys.exit(main())
