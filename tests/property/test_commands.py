"""Properties of reading commands: it never crashes, never guesses, and lets no hostile name through."""

import html
import re
import string

from hypothesis import given
from hypothesis import strategies as st

from bot.core import snapshots
from bot.core.commands import (
    Cancel,
    Clusters,
    Command,
    Help,
    List,
    Restore,
    Save,
    Status,
    UnknownCommand,
    Verb,
    parse,
    render,
)

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
RKES = re.compile(r"[0-9TZ:+_a-z-]+")

_names = st.from_regex(NAME, fullmatch=True).filter(
    lambda name: name.lower() != "latest" and not name.lower().endswith(".zip") and snapshots.is_snapshot_file(name)
)
_clusters = st.just("") | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
_jobs = st.from_regex(r"[0-9a-f]{4,64}", fullmatch=True)
_reasons = st.text(st.sampled_from(string.ascii_letters + string.digits + "\"'\\&<>|$;-=*_@! äß"), max_size=80).map(
    lambda text: " ".join(text.split())
)
valid: st.SearchStrategy[Command] = st.one_of(
    st.builds(Save, st.just("") | _names, _clusters),
    st.builds(List, _clusters),
    st.builds(Restore, st.just("latest") | _names, _clusters, _reasons),
    st.builds(Status, st.just("") | _jobs, _clusters),
    st.builds(Cancel, _jobs),
    st.builds(Clusters),
    st.builds(Help, st.just("") | st.sampled_from([verb.value for verb in Verb])),
)
_NASTY = ["=", '"', "\u201c", "'", "`", "\\", ";", "\n", "\u00a0", "../../etc", "$(reboot)"]
_SLACKS = ["<@U1>", "<!channel>", "<http://x|y>", "&lt;", "x.zip", "latest"]
_OPTIONS = ["--cluster", "--reason", "--help", "\u2014cluster", "prod"]
_pieces = st.sampled_from([*Verb, *_OPTIONS, *_NASTY, *_SLACKS, " "])
anything = st.text() | st.lists(_pieces | st.text(max_size=5)).map("".join) | st.lists(_pieces).map(" ".join)


@given(valid)
def test_a_command_survives_its_command_line(command: Command) -> None:
    """What render writes, sent through Slack's escaping, parse reads back."""
    assert parse(html.escape(render(command), quote=False)) == command


def _refused(text: str) -> UnknownCommand | None:
    try:
        parse(text)
    except UnknownCommand as error:
        return error
    return None


@given(anything)
def test_any_text_is_a_command_or_refused(text: str) -> None:
    """There is no third way, and every suggestion is a valid command."""
    if error := _refused(text):
        assert error.what
        assert error.typed == text.strip()
        assert render(parse(html.escape(error.nearest, quote=False))) == error.nearest


@given(anything, st.sampled_from(["", "save ", "restore ", "cancel ", "status "]))
def test_hostile_text_yields_no_name_outside_the_whitelist(text: str, verb: str) -> None:
    """What comes out of parse is safe to hand on, whatever went in."""
    try:
        command = parse(verb + text)
    except UnknownCommand:
        return
    match command:
        case Save(name, cluster) | Restore(name, cluster):
            assert not name or NAME.fullmatch(name) or RKES.fullmatch(name)
            assert not cluster or NAME.fullmatch(cluster)
        case Status(job) | Cancel(job):
            assert not job or re.fullmatch(r"[0-9a-f]{4,64}", job)
        case _:
            pass
