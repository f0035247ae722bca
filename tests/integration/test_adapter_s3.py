"""Off-site copies: stored whole or not at all, never over a taken name, read back byte for byte."""

import asyncio
import functools
import hashlib
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.adapters.s3 import S3Store
from bot.core.facts import S3 as OFF_SITE
from bot.core.facts import Copy, Form, Integrity
from bot.errors import Refused, Retryable, Unreachable
from tests.lab.s3 import S3

PART = 8 << 20


@dataclass(frozen=True)
class Options:
    """The store's settings, as the configuration would give them."""

    bucket: str
    endpoint_url: str
    region: str
    access_key: str
    secret_key: str
    prefix: str = "snapshots"
    path_style: bool = True
    ca: Path | None = None


def options(server: S3) -> Options:
    """Settings that fit the lab's server."""
    return Options(server.bucket, server.endpoint_url, server.region, server.access_key, server.secret_key)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server for all tests here: it takes seconds to start."""
    running = S3(tmp_path_factory.mktemp("s3"))
    asyncio.run(running.start())
    yield running
    asyncio.run(running.stop())


@pytest.fixture
def server(shared: S3) -> S3:
    """The server with a bucket of this test's own."""
    shared.bucket = f"bucket-{secrets.token_hex(6)}"
    shared.make_bucket(shared.bucket)
    return shared


@pytest.fixture
async def store(server: S3) -> AsyncIterator[S3Store]:
    """The adapter on it."""
    async with S3Store.of(options(server)) as opened:
        yield opened


def blob(size: int, seed: int = 1) -> bytes:
    """Bytes that look like a database."""
    return random.Random(seed).randbytes(size)


def described(data: bytes, name: str = "before-upgrade", form: Form = Form.PLAIN) -> Copy:
    """A copy that was read back on a node."""
    digest = hashlib.sha256(data).hexdigest()
    return Copy(name, "1.1.1.1", form, len(data), len(data), 1795338140.5, digest, digest, Integrity.INTACT, 1204311)


async def chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    """The bytes as they come from a node."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(store: S3Store, copy: Copy) -> bytes:
    """All bytes of a stored copy."""
    return b"".join([chunk async for chunk in store.get("prod", copy)])


@pytest.mark.parametrize("size", [0, 1, 5000, PART, PART + 1, 3 * PART + 12345])
async def test_a_copy_comes_back_as_it_was_put(server: S3, store: S3Store, size: int) -> None:
    """In one piece or in parts: the same bytes, and everything that was known of them."""
    data = blob(size)
    copy = described(data)
    stored = await store.put("prod", copy, chunks(data))
    assert stored == replace(copy, where=OFF_SITE)
    assert await store.copies("prod") == (stored,)
    assert await read(store, stored) == data
    assert server.names() == ["snapshots/prod/before-upgrade"]


async def test_a_zip_keeps_both_hashes(store: S3Store) -> None:
    """File and database inside have sizes and sha256 of their own."""
    data = blob(3000)
    copy = replace(described(data, form=Form.ZIP), size=65568, sha256="ab" * 32)
    stored = await store.put("prod", copy, chunks(data))
    assert stored == replace(copy, where=OFF_SITE)


async def test_bytes_that_changed_on_the_way_are_not_stored(server: S3, store: S3Store) -> None:
    """Small or in parts: nothing appears, and no half upload is left to pay for."""
    for size in (5000, 2 * PART):
        data = blob(size)
        with pytest.raises(Retryable):
            await store.put("prod", described(data), chunks(data[:-1] + b"x"))
    assert server.names() == []
    assert "Uploads" not in server.client().list_multipart_uploads(Bucket=server.bucket)


async def test_a_source_that_breaks_leaves_nothing(server: S3, store: S3Store) -> None:
    """The error of the node's stream is what the caller sees."""
    data = blob(2 * PART)

    async def broken() -> AsyncIterator[bytes]:
        async for chunk in chunks(data):
            yield chunk
        raise Unreachable("1.1.1.1 stopped sending")

    with pytest.raises(Unreachable, match="stopped sending"):
        await store.put("prod", described(data), broken())
    assert server.names() == []
    assert "Uploads" not in server.client().list_multipart_uploads(Bucket=server.bucket)


async def test_the_same_bytes_are_stored_once(store: S3Store) -> None:
    """A put after an unanswered put finds its own object."""
    data = blob(5000)
    first = await store.put("prod", described(data), chunks(data))
    assert await store.put("prod", described(data), chunks(b"not even read")) == first


async def test_a_taken_name_is_never_overwritten(server: S3, store: S3Store) -> None:
    """Other bytes under a name are refused (F11), also when two workers race."""
    mine, theirs = blob(5000), blob(5000, seed=2)
    answers = await asyncio.gather(
        store.put("prod", described(mine), chunks(mine)),
        store.put("prod", described(theirs), chunks(theirs)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers if not isinstance(answer, Copy)] == [Refused]
    kept = mine if isinstance(answers[0], Copy) else theirs
    assert server.read("snapshots/prod/before-upgrade") == kept


async def test_what_others_put_there_is_an_unchecked_copy(server: S3, store: S3Store) -> None:
    """rke's or s3cmd's objects are listed; temporary files, certificates and deeper keys are not."""
    for key in ("theirs.zip", "pki.bundle.tar.gz", "half.part", "deeper/other"):
        server.write(f"snapshots/prod/{key}", b"data")
    server.write("snapshots/prod-eu/other", b"data")
    (copy,) = await store.copies("prod")
    assert (copy.name, copy.form, copy.size, copy.integrity) == ("theirs", Form.ZIP, 4, Integrity.UNKNOWN)
    assert await read(store, copy) == b"data"


@pytest.mark.parametrize(
    ("lost", "instead"), [("sha256", None), ("taken-at", None), ("revision", None), ("size", None), ("taken-at", "x y")]
)
async def test_damaged_metadata_hides_nothing(server: S3, store: S3Store, lost: str, instead: str | None) -> None:
    """An object whose metadata cannot be read is an unchecked copy, beside the others."""
    data = blob(100)
    whole = await store.put("prod", described(data, "whole"), chunks(data))
    await store.put("prod", described(data), chunks(data))
    key = "snapshots/prod/before-upgrade"
    known = server.client().head_object(Bucket=server.bucket, Key=key)["Metadata"]
    known = {name: value for name, value in known.items() if name != lost} | ({lost: instead} if instead else {})
    server.client().put_object(Bucket=server.bucket, Key=key, Body=data, Metadata=known)
    found = {copy.name: copy for copy in await store.copies("prod")}
    assert found["whole"] == whole
    damaged = found["before-upgrade"]
    assert (damaged.integrity, damaged.size, damaged.sha256) == (Integrity.UNKNOWN, 100, "")
    assert damaged.problem == "its metadata is damaged"


async def test_a_name_taken_by_somebody_else_is_refused(server: S3, store: S3Store) -> None:
    """An object without our metadata proves nothing about its bytes."""
    data = blob(100)
    server.write("snapshots/prod/before-upgrade", data)
    with pytest.raises(Refused, match="taken"):
        await store.put("prod", described(data), chunks(data))


async def test_more_copies_than_one_page(store: S3Store, server: S3) -> None:
    """S3 lists a thousand keys at a time."""
    put = functools.partial(server.client().put_object, Bucket=server.bucket, Body=b"x")
    keys = [f"snapshots/prod/n{number}" for number in range(1010)]
    await asyncio.gather(*(asyncio.to_thread(put, Key=key) for key in keys))
    assert len(await store.copies("prod")) == 1010


async def test_a_pinned_version_is_read(server: S3) -> None:
    """Where the bucket keeps versions, an approved copy is that version, whatever was put over it."""
    server.make_bucket("versioned", versioning=True)
    data = blob(5000)
    async with S3Store.of(replace(options(server), bucket="versioned")) as store:
        stored = await store.put("prod", described(data), chunks(data))
        assert stored.version_id
        server.write("snapshots/prod/before-upgrade", b"other", bucket="versioned")
        assert await read(store, stored) == data


async def test_a_shortened_object_is_seen(server: S3, store: S3Store) -> None:
    """Its length does not fit what was recorded."""
    data = blob(5000)
    await store.put("prod", described(data), chunks(data))
    head = server.client().head_object(Bucket=server.bucket, Key="snapshots/prod/before-upgrade")
    server.client().put_object(
        Bucket=server.bucket, Key="snapshots/prod/before-upgrade", Body=data[:-1], Metadata=head["Metadata"]
    )
    (copy,) = await store.copies("prod")
    assert copy.integrity is Integrity.CORRUPT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucket": "nowhere"}, "There is no bucket nowhere"),
        ({"secret_key": "wrong"}, "secret .* is wrong"),
        ({"access_key": "AKIANOBODY"}, "does not know the key id"),
        ({"region": "us-west-2"}, "not in the region us-west-2"),
    ],
    ids=["bucket", "secret", "key id", "region"],
)
async def test_a_wrong_setting_is_named(server: S3, change: dict[str, str], said: str) -> None:
    """The operator learns which setting is wrong."""
    wrong = replace(options(server), **change)  # type: ignore[arg-type]  # only text fields are changed here
    async with S3Store.of(wrong) as store:
        with pytest.raises(Refused, match=said):
            await store.copies("prod")


async def test_a_copy_that_is_gone_is_refused(server: S3, store: S3Store) -> None:
    """An object deleted meanwhile is no outage."""
    data = blob(100)
    stored = await store.put("prod", described(data), chunks(data))
    server.client().delete_object(Bucket=server.bucket, Key="snapshots/prod/before-upgrade")
    with pytest.raises(Refused, match="not in"):
        await read(store, stored)


async def test_an_outage_is_told_and_passes(server: S3, store: S3Store) -> None:
    """Unreachable while it is down, as before when it is up again."""
    await server.down()
    with pytest.raises(Unreachable):
        await store.copies("prod")
    await server.up()
    assert await store.copies("prod") == ()


async def test_a_busy_server_is_asked_again(server: S3, store: S3Store) -> None:
    """SlowDown does not reach anybody."""
    await server.fail_next(2)
    assert await store.copies("prod") == ()
