"""rke's own S3 download, as its tools container would do it."""

import asyncio
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from .log import RkeError

FAILED = "Failed to download etcd snapshot from s3, exit code [1]"


async def fetch(endpoint: str, name: str, storage: dict[str, Any]) -> tuple[str, bytes]:
    """Base name and content of the first object below the prefix; raises RkeError."""
    return await asyncio.to_thread(_fetch, endpoint, name, storage)


def _fetch(endpoint: str, name: str, storage: dict[str, Any]) -> tuple[str, bytes]:
    bucket, folder = str(storage["bucket_name"]), str(storage.get("folder") or "")
    prefix = f"{folder}/{name}" if folder else name
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=str(storage.get("region") or "us-east-1"),
        aws_access_key_id=str(storage.get("access_key") or ""),
        aws_secret_access_key=str(storage.get("secret_key") or ""),
    )
    try:
        listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        if not listed:
            raise RkeError(f"{FAILED}: failed to download s3 backup: no backups found")
        key = listed[0]["Key"]
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise RkeError(f"{FAILED}: {error}") from error
    return key.rpartition("/")[2], content
