"""The event envelope and its chain of macs: the stored form of everything a job is.

A record is `<key id> <mac> <body>`: the body is compact JSON, kept byte for byte, and `mac = HMAC-SHA256(key,
previous mac | job | version | body)`, so that an edited, inserted, reordered or transplanted event is found
by `verify`. A cut-off tail is not (the fold and the markers on the RKE host find that).
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from bot.errors import Fatal

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Data: TypeAlias = Mapping[str, Json]

GENESIS: Final = "0" * 64  # the mac before the first event
ENVELOPE_VERSION: Final = 1
CLOCK: Final = "clock"


class EventType(StrEnum):
    """What can happen to a job. The shapes of `data` stand beside each name; times are seconds since the
    epoch.
    """

    REQUESTED = "Requested"  # kind, cluster, snapshot, channel, team, reason, options, plan (save only)
    PLANNED = "Planned"  # plan, policy, expires_at
    BLOCKED = "Blocked"  # plan, policy, expires_at; the plan has red findings
    PLAN_AGAIN = "PlanAgain"  # why
    VOTE_CAST = "VoteCast"  # verdict approve|deny, digest, reason, acknowledged: [finding ids]
    APPROVED = "Approved"  # digest, execute_by
    QUEUED = "Queued"  # execute_by (0: no limit)
    DENIED = "Denied"  # reason
    EXPIRED = "Expired"  # which: approval|execution
    CANCEL_REQUESTED = "CancelRequested"  # {}
    CANCELLED = "Cancelled"  # done: [lines]
    CLAIMED = "Claimed"  # lost_for: seconds since the last worker's lease ended, 0 at the first claim
    STEP_STARTED = "StepStarted"  # step (0-based), attempt (1-based)
    STEP_SUCCEEDED = "StepSucceeded"  # step, attempt, result: {...}
    STEP_FAILED = "StepFailed"  # step, attempt, error, todo, lines: [...], result: {...}
    NEEDS_HUMAN = "NeedsHuman"  # what, todo, lines: [...], choices: [again|hand-over], no_return: bool
    HUMAN_CHOICE = "HumanChoice"  # choice again|hand-over, answers: version of the NeedsHuman
    SUCCEEDED = "Succeeded"  # verdict: {...}
    PARTIAL = "Partial"  # verdict: {...}
    FAILED = "Failed"  # what, todo


@dataclass(frozen=True, slots=True)
class Event:
    """One recorded fact. `version` counts from 1; `at` is Redis time; `token` is the worker's fencing token,
    None for people and the clock; `by` is `TEAM/USER`, `worker:<owner>` or `clock`; `run_id` names the Redis
    process it was decided on; `id` is chosen by the client, so that a retry after an unanswered append
    recognises its own.
    """

    type: EventType
    job: str
    version: int
    at: float
    by: str
    run_id: str
    id: str
    token: int | None = None
    data: Data = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has a place in a journal."""

    type: EventType
    data: Data = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Mac keys by id; new events are sealed with `current`. Old keys stay to verify old events."""

    current: str
    keys: Mapping[str, bytes]

    def key(self, key_id: str) -> bytes:
        """The key named `key_id`; Fatal if it is not in the ring."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise Fatal(f"the journal was sealed with key {key_id!r}, which is not configured") from None


def encode(event: Event) -> bytes:
    """The stored body of `event`; `decode` is its inverse."""
    body = {
        "v": ENVELOPE_VERSION,
        "type": event.type.value,
        "job": event.job,
        "n": event.version,
        "at": event.at,
        "by": event.by,
        "run": event.run_id,
        "id": event.id,
        "token": event.token,
        "data": event.data,
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode(body: bytes) -> Event:
    """The event stored as `body`. Raises Fatal when it is not an event of a known envelope version."""
    try:
        raw = json.loads(body)
        if raw["v"] != ENVELOPE_VERSION:
            raise Fatal(f"event envelope version {raw['v']} is not known to this version of the bot")
        return Event(
            type=EventType(raw["type"]),
            job=raw["job"],
            version=raw["n"],
            at=raw["at"],
            by=raw["by"],
            run_id=raw["run"],
            id=raw["id"],
            token=raw["token"],
            data=raw["data"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(f"the journal holds something that is not an event: {error}") from error


def mac(key: bytes, previous: str, job: str, version: int, body: bytes) -> str:
    """HMAC-SHA256 in hex over the previous mac, the job, the version and the exact bytes of the body."""
    head = f"{previous}|{job}|{version}|".encode()
    return hmac.new(key, head + body, hashlib.sha256).hexdigest()


def seal(ring: Keyring, previous: str, event: Event) -> tuple[bytes, str]:
    """The record to store for `event` after an event whose mac is `previous`, and the new head mac."""
    body = encode(event)
    sealed = mac(ring.key(ring.current), previous, event.job, event.version, body)
    return f"{ring.current} {sealed} ".encode() + body, sealed


def mac_of(record: bytes) -> str:
    """The mac a stored record claims."""
    return record.split(b" ", 2)[1].decode()


def verify(
    ring: Keyring, job: str, records: Sequence[bytes], after: int = 0, previous: str = GENESIS
) -> tuple[Event, ...]:
    """The events of `records`, which follow version `after` of `job`, whose mac is `previous`.

    Raises Fatal naming the first version whose mac, job or number does not fit.
    """
    events: list[Event] = []
    for version, record in enumerate(records, after + 1):
        broken = Fatal(
            f"the journal of job {job} is broken at event {version}",
            "Nothing more is done on it. Call an administrator.",
        )
        try:
            key_id, claimed, body = record.split(b" ", 2)
        except ValueError:
            raise broken from None
        wanted = mac(ring.key(key_id.decode(errors="replace")), previous, job, version, body)
        if not hmac.compare_digest(wanted.encode(), claimed):
            raise broken
        event = decode(body)
        if event.version != version or event.job != job:
            raise broken
        events.append(event)
        previous = wanted
    return tuple(events)
