"""Who a Slack user is: full member or not, and in which of the groups that matter.

Roles for a command may come from a cache of a minute; a vote always asks Slack. People are known by team and user id
only (docs.slack.dev/reference/methods/users.info and usergroups.users.list).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.usecases import Person
from bot.errors import Unreachable

_KEEP: Final = 60.0  # seconds a cached answer is good for
_DEADLINE: Final = 2.0  # seconds for all questions about one person: the ack is due after 3 s
_NOT_A_FULL_MEMBER: Final = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
_NO_SUCH: Final = frozenset({"user_not_found", "user_not_visible", "no_such_subteam", "subteam_not_found"})

_K = TypeVar("_K")
_T = TypeVar("_T")


class Directory:
    """People and groups of the workspace, as Slack knows them. `clock` is a monotonic clock in seconds. The workspace
    is the one the bot is installed to, never the one a payload names: a channel may be shared with another company.
    """

    def __init__(self, client: AsyncWebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._people: dict[tuple[str, str], tuple[float, bool]] = {}
        self._groups: dict[str, tuple[float, frozenset[str]]] = {}
        self._own_team = ""

    async def person(self, team: str, user: str, groups: Collection[str], *, live: bool = False) -> Person:
        """The person, with those of `groups` (user group ids) they are in. `live` asks Slack in any case.

        Raises Unreachable when Slack does not answer in time: nothing may be decided on a guess.
        """
        async with _answered_in_time():
            own, full, *members = await asyncio.gather(
                self._ours(team),
                self._full_member(team, user, live),
                *(self._in_group(group, user, live) for group in groups),
            )
        found = (group for group, member in zip(groups, members, strict=True) if member)
        return Person(team, user, groups=frozenset(found), full_member=own and full)

    async def members(self, group: str) -> frozenset[str]:
        """The user ids in a group, from the cache if it is fresh; empty if Slack does not know the group. Raises
        Unreachable.
        """
        async with _answered_in_time():
            return await _cached(self._groups, group, self._clock, lambda: self._ask_group(group), live=False)

    async def _ours(self, team: str) -> bool:
        """Whether that is the bot's own workspace (docs.slack.dev/reference/methods/auth.test), which never changes."""
        self._own_team = self._own_team or str((await self._client.auth_test()).get("team_id") or "")
        return team == self._own_team

    async def _full_member(self, team: str, user: str, live: bool) -> bool:
        ask = self._ask_user
        return await _cached(self._people, (team, user), self._clock, lambda: ask(team, user), live=live)

    async def _in_group(self, group: str, user: str, live: bool) -> bool:
        ask = self._ask_group
        return user in await _cached(self._groups, group, self._clock, lambda: ask(group), live=live)

    async def _ask_user(self, team: str, user: str) -> bool:
        try:
            answer = await self._client.users_info(user=user)
        except SlackApiError as error:
            if error.response.get("error") in _NO_SUCH:
                return False
            raise
        found = answer.get("user") or {}
        return found.get("team_id") == team and not any(found.get(flag) for flag in _NOT_A_FULL_MEMBER)

    async def _ask_group(self, group: str) -> frozenset[str]:
        try:
            answer = await self._client.usergroups_users_list(usergroup=group)
        except SlackApiError as error:
            if error.response.get("error") in _NO_SUCH:
                return frozenset()
            raise
        return frozenset(answer.get("users") or ())


@asynccontextmanager
async def _answered_in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_DEADLINE):
            yield
    except (TimeoutError, OSError, aiohttp.ClientError, SlackClientError) as error:
        raise Unreachable(
            "Slack did not say who you are and in which groups.", "Nothing was done. Try again in a minute."
        ) from error


async def _cached(
    kept: dict[_K, tuple[float, _T]],
    key: _K,
    clock: Callable[[], float],
    ask: Callable[[], Awaitable[_T]],
    *,
    live: bool,
) -> _T:
    known = kept.get(key)
    if known is not None and not live and clock() - known[0] < _KEEP:
        return known[1]
    value = await ask()
    kept[key] = (clock(), value)
    return value
