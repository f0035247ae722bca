"""Off-site copies in S3 or anything that speaks it: <prefix>/<cluster>/<file name>, what is known of them as metadata.

boto3 blocks, so it runs in a few threads. Bytes pass through in parts of 8 MiB: memory stays flat whatever the size.
"""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProxyConnectionError, SSLError

from bot.core import snapshots
from bot.core.facts import S3, Copy, Form, Integrity
from bot.errors import BotError, Refused, Retryable, Unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        PutObjectRequestTypeDef,
    )

_PART: Final = 8 << 20
_CHUNK: Final = 1 << 20
_THREADS: Final = 8
_IN_FLIGHT: Final = 3  # parts of one upload
_ABSENT: Final = frozenset({"404", "NoSuchKey"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_NO_CONDITIONS: Final = frozenset({"NotImplemented", "501"})  # older servers than S3 of November 2024

Result = TypeVar("Result")


class S3Options(Protocol):
    """What the configuration says of the store; empty keys leave the search for credentials to boto3."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    @property
    def prefix(self) -> str:
        """What precedes the cluster in every key, without slashes at its ends."""

    @property
    def endpoint_url(self) -> str:
        """Another server than Amazon's, or ""."""

    @property
    def region(self) -> str:
        """The region requests are signed for."""

    @property
    def path_style(self) -> bool:
        """The bucket stands in the path, not in the host name."""

    @property
    def ca(self) -> Path | None:
        """The authority that signed the server's certificate."""

    @property
    def access_key(self) -> str:
        """Key id, or ""."""

    @property
    def secret_key(self) -> str:
        """Secret, or ""."""


class S3Store:
    """Implements the port Store; `async with` ends its threads."""

    def __init__(self, client: "S3Client", options: S3Options) -> None:
        self._client, self._options = client, options
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")

    @staticmethod
    def of(options: S3Options) -> "S3Store":
        """The store the configuration names; nothing is asked yet. A checksum of each part is always sent, by us."""
        config = Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=_THREADS,
            s3={"addressing_style": "path" if options.path_style else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = boto3.client(
            "s3",
            endpoint_url=options.endpoint_url or None,
            region_name=options.region,
            aws_access_key_id=options.access_key or None,
            aws_secret_access_key=options.secret_key or None,
            verify=str(options.ca) if options.ca else None,
            config=config,
        )
        return S3Store(client, options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def copies(self, cluster: str) -> tuple[Copy, ...]:
        """See the port. Objects somebody else put there are unchecked copies."""
        prefix = self._key(cluster, "")
        found = await self._call(lambda: self._listed(prefix))
        heads = await asyncio.gather(*(self._head(prefix + file) for file in found))
        return tuple(_copy(file, head) for file, head in zip(found, heads, strict=True) if head is not None)

    async def put(self, cluster: str, copy: Copy, chunks: AsyncIterator[bytes]) -> Copy:
        """See the port. Raises Retryable when the bytes are not those that were read back on the node."""
        file = snapshots.file_name(copy.name, copy.form)
        key = self._key(cluster, file)
        if (there := await self._head(key)) is None:
            await _Upload(self, key, copy).send(chunks)
            there = await self._head(key)
        if there is None or not _same(there, copy):
            what = f"The name {file} is taken off-site by other bytes (bucket {self._options.bucket}, key {key})."
            raise Refused(what, "Save under another name.")
        return _copy(file, there)

    async def get(self, cluster: str, copy: Copy) -> AsyncIterator[bytes]:
        """See the port."""
        key = self._key(cluster, snapshots.file_name(copy.name, copy.form))
        request: GetObjectRequestTypeDef = {"Bucket": self._options.bucket, "Key": key}
        if copy.version_id:
            request["VersionId"] = copy.version_id
        found = await self._call(lambda: self._client.get_object(**request))
        body = found["Body"]
        try:
            while data := await self._call(lambda: body.read(_CHUNK)):
                yield data
        finally:
            body.close()

    def _key(self, cluster: str, file: str) -> str:
        return "/".join(filter(None, (self._options.prefix, cluster))) + "/" + file

    def _listed(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._options.bucket, Prefix=prefix, Delimiter="/"
        )
        files = (item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", []))
        return [file for file in files if snapshots.is_snapshot_file(file)]

    async def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        """What the store says of an object; None when there is none."""

        def ask() -> "HeadObjectOutputTypeDef | None":
            try:
                return self._client.head_object(Bucket=self._options.bucket, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise

        return await self._call(ask)

    async def _call(self, ask: Callable[[], Result]) -> Result:
        """Ask in a thread; its errors in an operator's words."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, ask)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _told(error, self._options) from error


class _Upload:
    """One upload: of one piece by a plain put, of more by parts. Each is checked by S3 against its sha256."""

    def __init__(self, store: S3Store, key: str, copy: Copy) -> None:
        self._store, self._copy = store, copy
        self._client, self._bucket, self._key = store._client, store._options.bucket, key  # noqa: SLF001 - one module
        self._whole, self._metadata = hashlib.sha256(), _metadata(copy)

    async def send(self, chunks: AsyncIterator[bytes]) -> None:
        """Send all bytes under the key unless it is taken meanwhile. Nothing is kept of an upload that fails."""
        pieces = _pieces(chunks)
        first, second = await anext(pieces, b""), await anext(pieces, b"")
        if second:
            await self._send_parts(_chained(first, second, pieces))
            return
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._key,
            "Body": first,
            "Metadata": self._metadata,
            "ChecksumSHA256": await asyncio.to_thread(self._digest, first),
        }
        self._check()
        free: PutObjectRequestTypeDef = {**request, "IfNoneMatch": "*"}
        await self._finish(lambda: self._client.put_object(**free), lambda: self._client.put_object(**request))

    async def _send_parts(self, pieces: AsyncIterator[bytes]) -> None:
        made = await self._call(
            lambda: self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key, Metadata=self._metadata, ChecksumAlgorithm="SHA256"
            )
        )
        upload, sending = made["UploadId"], list[asyncio.Task["CompletedPartTypeDef"]]()
        try:
            async for piece in pieces:
                digest = await asyncio.to_thread(self._digest, piece)
                sending.append(asyncio.create_task(self._part(upload, len(sending) + 1, piece, digest)))
                if len(sending) >= _IN_FLIGHT:
                    await sending[-_IN_FLIGHT]
            parts = await asyncio.gather(*sending)
            self._check()
            if not await self._complete(upload, parts):
                await self._abort(upload)
        except BaseException:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            await asyncio.shield(self._abort(upload))
            raise

    async def _part(self, upload: str, number: int, piece: bytes, digest: str) -> "CompletedPartTypeDef":
        made = await self._call(
            lambda: self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload,
                PartNumber=number,
                Body=piece,
                ChecksumSHA256=digest,
            )
        )
        return {"PartNumber": number, "ETag": made["ETag"], "ChecksumSHA256": digest}

    async def _complete(self, upload: str, parts: "list[CompletedPartTypeDef]") -> bool:
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._key,
            "UploadId": upload,
            "MultipartUpload": {"Parts": parts},
        }
        free: CompleteMultipartUploadRequestTypeDef = {**request, "IfNoneMatch": "*"}
        complete = self._client.complete_multipart_upload
        return await self._finish(lambda: complete(**free), lambda: complete(**request))

    async def _abort(self, upload: str) -> None:
        with contextlib.suppress(BotError):
            await self._call(
                lambda: self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload)
            )

    async def _finish(self, if_free: Callable[[], object], anyway: Callable[[], object]) -> bool:
        """Make the object appear; False when the key was taken meanwhile, by whom is judged by who asked."""

        def once() -> bool:
            try:
                if_free()
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                if _code(error) not in _NO_CONDITIONS:
                    raise
                anyway()
            return True

        return await self._call(once)

    async def _call(self, ask: Callable[[], Result]) -> Result:
        return await self._store._call(ask)  # noqa: SLF001 - one module

    def _digest(self, piece: bytes) -> str:
        """The piece's sha256 as S3 wants it; the whole file's goes on."""
        self._whole.update(piece)
        return base64.b64encode(hashlib.sha256(piece).digest()).decode()

    def _check(self) -> None:
        if self._whole.hexdigest() != self._copy.file_sha256:
            what = f"{self._copy.name} changed on its way from {self._copy.where}, so it was not stored off-site."
            raise Retryable(what, "Read the copy back on the node.")


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of one part's size."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        while len(piece) >= _PART:
            yield bytes(piece[:_PART])
            del piece[:_PART]
    if piece:
        yield bytes(piece)


async def _chained(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    yield second
    async for piece in rest:
        yield piece


def _metadata(copy: Copy) -> dict[str, str]:
    return {
        "sha256": copy.sha256,
        "file-sha256": copy.file_sha256,
        "size": str(copy.size),
        "revision": "" if copy.revision is None else str(copy.revision),
        "taken-at": str(copy.taken_at),
        "form": copy.form.value,
        "node": copy.where,
    }


def _copy(file: str, head: "HeadObjectOutputTypeDef") -> Copy:
    """A stored object as a copy. One without our metadata is known by its size and time only; so is one whose metadata
    somebody has cut or changed, which must not hide the others.
    """
    name, form = snapshots.split_file_name(file)
    size, version = head["ContentLength"], head.get("VersionId", "")
    version_id = "" if version == "null" else version
    taken_at = head["LastModified"].timestamp()
    plain = Copy(name, S3, form, size, size, taken_at, version_id=version_id)
    if head["Metadata"].get("form") != form.value or not head["Metadata"].get("file-sha256"):
        return plain
    try:
        return _ours(plain, head["Metadata"])
    except (ValueError, KeyError):
        return replace(plain, problem="its metadata is damaged")


def _ours(plain: Copy, known: Mapping[str, str]) -> Copy:
    """The object with what we recorded. Raises ValueError or KeyError when that cannot be read."""
    whole = plain.form is Form.ZIP or known["size"] == str(plain.file_size)
    return replace(
        plain,
        size=int(known["size"]),
        taken_at=float(known["taken-at"]),
        sha256=known["sha256"],
        file_sha256=known["file-sha256"],
        integrity=Integrity.INTACT if whole else Integrity.CORRUPT,
        revision=int(known["revision"]) if known["revision"] else None,
        problem="" if whole else f"{plain.file_size} bytes are stored instead of {known['size']}",
    )


def _same(head: "HeadObjectOutputTypeDef", copy: Copy) -> bool:
    """The stored object has the copy's bytes: its length, the sha256 it was put under, and S3's own of the whole object
    where it keeps one.
    """
    checksum = head.get("ChecksumSHA256", "")  # of more than one part it is over the parts' checksums
    own = base64.b64encode(bytes.fromhex(copy.file_sha256)).decode()
    return (
        head["ContentLength"] == copy.file_size
        and head["Metadata"].get("file-sha256") == copy.file_sha256
        and (not checksum or copy.file_size > _PART or checksum == own)
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _told(error: Exception, options: S3Options) -> BotError:
    """What S3's refusal means and what to do about it."""
    where = f"bucket {options.bucket}" + (f" at {options.endpoint_url}" if options.endpoint_url else "")
    if isinstance(error, ClientError):
        return _refused(_code(error), str(error), where, options)
    if isinstance(error, NoCredentialsError):
        return Refused(f"There are no credentials for {where}.", "Set S3_ACCESS_KEY and S3_SECRET_KEY.")
    if isinstance(error, SSLError):
        return Refused(f"The certificate of {where} is not trusted: {error}", "Name its authority's file in s3.ca.")
    if isinstance(error, ProxyConnectionError):
        return Unreachable(f"The proxy on the way to {where} does not answer.", "Check HTTPS_PROXY and NO_PROXY.")
    return Unreachable(
        f"S3 does not answer ({where}): {str(error).rstrip('.')}.", "Check the endpoint and the network."
    )


def _refused(code: str, said: str, where: str, options: S3Options) -> BotError:
    match code:
        case "NoSuchBucket":
            return Refused(f"There is no {where}.", "Create it, or correct s3.bucket.")
        case "NoSuchKey" | "NoSuchVersion":
            return Refused(f"The copy is not in {where} any more.", "List again, and take another copy.")
        case "AccessDenied" | "403":
            todo = "Allow s3:ListBucket, s3:GetObject, s3:GetObjectVersion and s3:PutObject there."
            return Refused(f"S3 does not allow the bot to use {where}.", todo)
        case "InvalidAccessKeyId":
            return Refused(f"S3 does not know the key id for {where}.", "Correct S3_ACCESS_KEY.")
        case "SignatureDoesNotMatch":
            return Refused(f"The secret for {where} is wrong.", "Correct S3_SECRET_KEY.")
        case "AuthorizationHeaderMalformed" | "PermanentRedirect" | "301":
            return Refused(f"{where} is not in the region {options.region}.".capitalize(), "Correct s3.region.")
        case "RequestTimeTooSkewed":
            return Refused("The bot's clock differs too much from S3's.", "Set the bot's machine to the right time.")
        case "400":
            return Refused(f"S3 refuses the request to {where}.", "Check s3.region and the keys.")
    return Unreachable(f"S3 failed ({where}): {said}", "It is usually back soon.")
