"""What the renderers give and what they are given besides the job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Block: TypeAlias = dict[str, Any]  # Block Kit JSON, as slack_sdk's models write it

METADATA_EVENT = "etcd_snapshot_job"  # type of the metadata by which a message is found again after a crash


@dataclass(frozen=True, slots=True)
class Reply:
    """A short reply in the job's thread, for what somebody must notice. `key` is the same for the same event whoever
    renders it; `broadcast` also shows it in the channel. `text` is mrkdwn.
    """

    key: str
    text: str
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `text` is the notification, `fallback_blocks` go out when Slack answers `invalid_blocks`."""

    text: str
    blocks: Sequence[Block]
    fallback_blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class View:
    """What stands around a job and is no event. `now` is seconds since the epoch; `lines` are the progress lines;
    `ahead` counts jobs of the cluster queued before this one; `holder` is the id of the job it waits for, "" if none.
    """

    now: float
    lines: Mapping[str, str] = field(default_factory=dict)
    worker_alive: bool = True
    ahead: int = 0
    holder: str = ""
