"""A strict S3 in a process of its own: moto behind a layer that checks what real S3 checks.

Signatures (header and presigned), expiry, payload hashes, Content-MD5 and x-amz-checksum-* are all verified.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import boto3
import botocore.config

from tests.lab.process import ROOT, LabError, random_subnet, reap, spawn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PORT = 9000
REGION: Final = "eu-central-1"


class S3:
    """One server with one account and one bucket; `async with` starts and stops it."""

    def __init__(self, base: Path, *, address: str | None = None, bucket: str = "etcd-snapshots") -> None:
        """Keep the server's log below `base`; objects live in its memory and go with it."""
        self.base, self.bucket, self.region = base, bucket, REGION
        self.address = address or f"{random_subnet()}.201"
        self.endpoint_url = f"http://{self.address}:{PORT}"
        self.access_key = "AKIALAB" + secrets.token_hex(6).upper()
        self.secret_key = secrets.token_urlsafe(30)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Self:
        """Start the server and make its bucket."""
        self.base.mkdir(parents=True, exist_ok=True)
        self._process = spawn(
            [
                *(sys.executable, "-m", "tests.lab.s3.server", self.address, str(PORT)),
                *(self.region, self.access_key, self.secret_key),
            ],
            log=self.base / "s3.log",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            piped=True,
        )
        await asyncio.to_thread(self._hear)
        await asyncio.to_thread(self.make_bucket, self.bucket)
        return self

    async def stop(self) -> None:
        """End the server; every object is gone."""
        if self._process is not None:
            await reap(self._process)
            self._process = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def client(self, *, secret_key: str | None = None, retries: int = 0) -> "S3Client":
        """A blocking boto3 client of the lab's account (with another secret, to be refused)."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=botocore.config.Config(
                signature_version="s3v4",
                retries={"total_max_attempts": retries + 1},
                connect_timeout=5,
                read_timeout=20,
            ),
        )

    def make_bucket(self, name: str, *, versioning: bool = False, object_lock: bool = False) -> None:
        """Make a bucket in the lab's region."""
        client = self.client()
        client.create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=object_lock,
        )
        if versioning:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def names(self, prefix: str = "", *, bucket: str | None = None) -> list[str]:
        """The keys of a bucket, sorted."""
        pages = self.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=bucket or self.bucket, Prefix=prefix)
        return sorted(item["Key"] for page in found for item in page.get("Contents", []))

    def read(self, key: str, *, bucket: str | None = None) -> bytes:
        """An object's bytes."""
        return self.client().get_object(Bucket=bucket or self.bucket, Key=key)["Body"].read()

    def write(self, key: str, data: bytes, *, bucket: str | None = None) -> None:
        """Put an object as a stranger to the bot would: without checksum or metadata."""
        self.client().put_object(Bucket=bucket or self.bucket, Key=key, Body=data)

    def corrupt(self, key: str, *, bucket: str | None = None) -> None:
        """Flip one bit in the middle of an object, keeping its metadata."""
        bucket, client = bucket or self.bucket, self.client()
        found = client.get_object(Bucket=bucket, Key=key)
        data = bytearray(found["Body"].read())
        data[len(data) // 2] ^= 1
        client.put_object(Bucket=bucket, Key=key, Body=bytes(data), Metadata=found["Metadata"])

    async def down(self) -> None:
        """Refuse and break connections; the objects stay."""
        await self._tell(do="down")

    async def up(self) -> None:
        """Listen again on the same address."""
        await self._tell(do="up")

    async def fail_next(self, times: int = 1, *, status: int = 503, code: str = "SlowDown") -> None:
        """Answer the next `times` requests with an error, whatever they ask."""
        await self._tell(do="fail", status=status, code=code, times=times)

    async def advance(self, seconds: float) -> None:
        """Set the server's clock ahead, so that presigned URLs expire without waiting."""
        await self._tell(do="advance", seconds=float(seconds))

    def stall(self) -> None:
        """Freeze the server: connections stay open, nothing is answered until `resume`."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled server go on."""
        self._running().send_signal(signal.SIGCONT)

    async def _tell(self, **command: object) -> None:
        pipe = self._running().stdin
        if pipe is None:
            raise LabError("the lab's S3 was started without a pipe")
        pipe.write(json.dumps(command).encode() + b"\n")
        pipe.flush()
        await asyncio.to_thread(self._hear)

    def _hear(self) -> None:
        pipe = self._running().stdout
        if pipe is None or not pipe.readline():
            log = (self.base / "s3.log").read_text(errors="replace")
            raise LabError(f"the lab's S3 ended:\n{log[-2000:]}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LabError("the lab's S3 is not running")
        return self._process
