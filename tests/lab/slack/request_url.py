"""Signed HTTP as Slack sends it: slash commands, interactions and events posted to the bot's request URL.

Signing: docs.slack.dev/authentication/verifying-requests-from-slack (v0, HMAC-SHA256 over version:timestamp:body).
"""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.lab.slack.state import Ack
from tests.lab.slack.store import Store
from tests.lab.slack.transport import Envelope
from tests.lab.slack.wire import JsonObject


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The `X-Slack-Signature` of a body."""
    base = b"v0:%d:%s" % (timestamp, body)
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class SignedRequest:
    """A request as it goes over the wire; tests change parts of it to forge or replay one."""

    body: bytes
    headers: dict[str, str]


class RequestUrl:
    """Posts to the bot. `url` is where the bot listens; one URL serves all kinds of payload."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: ClientSession | None = None
        self.url: str | None = None
        self.sent: list[SignedRequest] = []

    async def close(self) -> None:
        """Close the client session."""
        if self._session is not None:
            await self._session.close()

    def sign(self, body: bytes, content_type: str, *, age: float = 0.0, secret: str | None = None) -> SignedRequest:
        """Sign a body. `age` makes the timestamp that many seconds old; `secret` forges the signature.

        The timestamp is the machine's, not the lab clock's: the bot compares it with its own clock.
        """
        timestamp = int(time.time() - age)
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": signature(secret or self._store.signing_secret, timestamp, body),
        }
        return SignedRequest(body, headers)

    def request_for(self, envelope: Envelope, *, age: float = 0.0, secret: str | None = None) -> SignedRequest:
        """The request Slack would send for an envelope: a form, except for events, which are JSON."""
        if envelope.kind == "events_api":
            body, content_type = json.dumps(envelope.payload).encode(), "application/json"
        else:
            form = envelope.payload
            if envelope.kind == "interactive":
                form = {"payload": json.dumps(envelope.payload)}
            body, content_type = urlencode(form).encode(), "application/x-www-form-urlencoded"
        request = self.sign(body, content_type, age=age, secret=secret)
        if envelope.retry_attempt:
            request.headers["X-Slack-Retry-Num"] = str(envelope.retry_attempt)
            request.headers["X-Slack-Retry-Reason"] = envelope.retry_reason
        return request

    async def post(self, request: SignedRequest, limit: float = 10.0) -> tuple[int, str]:
        """Send a request as it is and return status and body; raises what aiohttp raises."""
        if self.url is None:
            raise ValueError("no request URL: set workspace.request_url to where the bot listens")
        if self._session is None:
            self._session = ClientSession()
        self.sent.append(request)
        timeout = ClientTimeout(total=limit)
        async with self._session.post(
            self.url, data=request.body, headers=request.headers, timeout=timeout
        ) as response:
            return response.status, await response.text()

    async def deliver(self, envelope: Envelope, limit: float) -> Ack:
        """Post the envelope; any status but 200 is `dispatch_failed`, silence is `operation_timeout`."""
        ack = Ack(envelope.id)
        started = time.monotonic()
        try:
            status, text = await self.post(self.request_for(envelope), limit)
        except TimeoutError:
            ack.error = "operation_timeout"
        except ClientError:
            ack.error = "dispatch_failed"
        else:
            ack.error = None if status == 200 else "dispatch_failed"
            ack.payload = _decode(text)
        ack.seconds = time.monotonic() - started
        return ack

    async def verify(self) -> bool:
        """Send `url_verification`, as saving the URL in the app's settings does; True when the challenge came back."""
        body = json.dumps({"type": "url_verification", "challenge": "lab-challenge", "token": "lab"}).encode()
        status, text = await self.post(self.sign(body, "application/json"))
        return status == 200 and "lab-challenge" in text


def _decode(text: str) -> JsonObject:
    if not text.strip():
        return {}
    try:
        decoded = json.loads(text)
    except ValueError:
        return {"text": text}
    return decoded if isinstance(decoded, dict) else {"text": str(decoded)}
