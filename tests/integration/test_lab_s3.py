"""The lab's S3 refuses what S3 refuses, and keeps what it took."""

import asyncio
import base64
import hashlib
import http.client
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from tests.lab.s3 import S3

BODY = b"etcd snapshot\x00" * 1000
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server for the module: each test uses keys of its own."""
    server = S3(tmp_path_factory.mktemp("s3"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[S3]:
    """A server that a test may break."""
    async with S3(tmp_path) as server:
        yield server


def send(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """A request as curl on a node sends it: nothing is added to what the caller says."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def presign(s3: S3, method: str, key: str, *, expires: int = 60, **params: str) -> str:
    """A presigned URL of the lab's account."""
    return s3.client().generate_presigned_url(
        method, Params={"Bucket": s3.bucket, "Key": key, **params}, ExpiresIn=expires
    )


def refusal(call: Any, **params: Any) -> tuple[int, str]:
    """Status and code with which S3 refuses a boto3 call."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**params)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_an_object_comes_back_as_it_was_put(s3: S3) -> None:
    """Keys with blanks, plus signs and slashes are signed and kept like any other."""
    key = "prod eu/a+b=c/ä"
    s3.client().put_object(Bucket=s3.bucket, Key=key, Body=BODY, Metadata={"sha256": "x"})
    assert s3.read(key) == BODY
    assert key in s3.names("prod eu/")


def test_a_wrong_secret_is_refused(s3: S3) -> None:
    """The signature decides, not the key id."""
    client = s3.client(secret_key="wrong")
    assert refusal(client.list_objects_v2, Bucket=s3.bucket) == (403, "SignatureDoesNotMatch")


def test_an_unknown_key_id_is_refused(s3: S3) -> None:
    """An account that does not exist is named as such."""
    known, s3.access_key = s3.access_key, "AKIANOBODY"
    try:
        client = s3.client()
    finally:
        s3.access_key = known
    assert refusal(client.list_objects_v2, Bucket=s3.bucket) == (403, "InvalidAccessKeyId")


def test_a_wrong_region_is_refused(s3: S3) -> None:
    """A request signed for another region names the right one."""
    s3.region, region = "us-west-2", s3.region
    try:
        client = s3.client()
    finally:
        s3.region = region
    code = refusal(client.list_objects_v2, Bucket=s3.bucket)
    assert code == (400, "AuthorizationHeaderMalformed")


def test_an_anonymous_request_is_refused(s3: S3) -> None:
    """No signature, no object."""
    status, body = send("GET", f"{s3.endpoint_url}/{s3.bucket}/key")
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded"])
def test_a_presigned_put_keeps_the_body(s3: S3, kind: str) -> None:
    """Also with the content type that `curl --data-binary` sends."""
    key = f"presigned-{kind[:3]}"
    headers = {"Content-Type": kind} if kind else {}
    status, body = send("PUT", presign(s3, "put_object", key), BODY, headers)
    assert (status, body) == (200, b"")
    assert s3.read(key) == BODY


def test_a_signed_checksum_holds_the_body(s3: S3) -> None:
    """The sha256 that was signed in must be sent, and must be the body's."""
    url = presign(s3, "put_object", "summed", ChecksumSHA256=SHA256)
    assert "x-amz-checksum-sha256" in url.lower()
    status, body = send("PUT", url, BODY)
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    status, body = send("PUT", url, BODY[:-1], {"x-amz-checksum-sha256": SHA256})
    assert (status, b"BadDigest" in body) == (400, True)
    status, _ = send("PUT", url, BODY, {"x-amz-checksum-sha256": SHA256})
    assert status == 200
    found = s3.client().head_object(Bucket=s3.bucket, Key="summed", ChecksumMode="ENABLED")
    assert found["ChecksumSHA256"] == SHA256


def test_an_unsigned_header_is_refused(s3: S3) -> None:
    """A node cannot add x-amz- headers to a URL that did not grant them."""
    url = presign(s3, "put_object", "extra")
    status, body = send("PUT", url, BODY, {"x-amz-meta-owner": "someone"})
    assert (status, b"not signed" in body) == (403, True)


def test_a_presigned_url_is_for_its_method_and_key(s3: S3) -> None:
    """Neither another verb nor another key is covered."""
    url = presign(s3, "put_object", "mine")
    assert send("DELETE", url)[0] == 403
    assert send("PUT", url.replace("/mine?", "/yours?"), BODY)[0] == 403


async def test_a_presigned_url_expires(own: S3) -> None:
    """It works until its last second, and not after."""
    url = presign(own, "put_object", "late", expires=60)
    await own.advance(30)
    assert send("PUT", url, BODY)[0] == 200
    await own.advance(31)
    status, body = send("PUT", url, BODY)
    assert (status, b"Request has expired" in body) == (403, True)


async def test_a_skewed_clock_is_refused(own: S3) -> None:
    """More than a quarter of an hour between client and server is too much."""
    await own.advance(3600)
    assert refusal(own.client().list_objects_v2, Bucket=own.bucket) == (403, "RequestTimeTooSkewed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ChecksumSHA256": base64.b64encode(bytes(32)).decode()},
        {"ChecksumCRC32": base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()},
        {"ContentMD5": base64.b64encode(bytes(16)).decode()},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_checksum_is_refused(s3: S3, wrong: dict[str, str]) -> None:
    """Nothing is stored under a promise that the body does not keep."""
    params: dict[str, Any] = {"Bucket": s3.bucket, "Key": "wrong", "Body": BODY, **wrong}
    assert refusal(s3.client().put_object, **params) == (400, "BadDigest")
    assert "wrong" not in s3.names()


def test_a_taken_key_is_kept_by_a_conditional_put(s3: S3) -> None:
    """`If-None-Match: *` creates once and is refused the second time."""
    put = s3.client().put_object
    put(Bucket=s3.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    taken = refusal(put, Bucket=s3.bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert taken == (412, "PreconditionFailed")
    assert s3.read("once") == b"1"


def test_a_multipart_upload_is_checked_part_by_part(s3: S3) -> None:
    """A corrupt part is refused; the good parts make one object."""
    client, place = s3.client(), {"Bucket": s3.bucket, "Key": "parts"}
    upload = client.create_multipart_upload(Bucket=s3.bucket, Key="parts")["UploadId"]
    first = b"a" * (5 << 20)
    params: dict[str, Any] = {**place, "UploadId": upload, "PartNumber": 1, "Body": first}
    wrong = base64.b64encode(bytes(32)).decode()
    assert refusal(client.upload_part, **params, ChecksumSHA256=wrong) == (400, "BadDigest")
    done = [
        client.upload_part(Bucket=s3.bucket, Key="parts", UploadId=upload, PartNumber=number, Body=data)["ETag"]
        for number, data in ((1, first), (2, b"end"))
    ]
    client.complete_multipart_upload(
        Bucket=s3.bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": n} for n, tag in enumerate(done, 1)]},
    )
    assert s3.read("parts") == first + b"end"


def test_versions_are_kept(s3: S3) -> None:
    """In a versioned bucket an overwritten object can still be read."""
    s3.make_bucket("versioned", versioning=True)
    client = s3.client()
    first = client.put_object(Bucket="versioned", Key="k", Body=b"1")["VersionId"]
    client.put_object(Bucket="versioned", Key="k", Body=b"2")
    old = client.get_object(Bucket="versioned", Key="k", VersionId=first)
    assert (old["Body"].read(), s3.read("k", bucket="versioned")) == (b"1", b"2")


def test_a_presigned_get_gives_ranges(s3: S3) -> None:
    """A download can be taken up where it broke."""
    s3.write("ranged", BODY)
    status, body = send("GET", presign(s3, "get_object", "ranged"), headers={"Range": "bytes=10-19"})
    assert (status, body) == (206, BODY[10:20])


def test_a_corrupted_object_keeps_its_metadata(s3: S3) -> None:
    """The lab's fault changes one bit and nothing that would give it away."""
    s3.client().put_object(Bucket=s3.bucket, Key="rotten", Body=BODY, Metadata={"sha256": SHA256})
    s3.corrupt("rotten")
    found = s3.client().get_object(Bucket=s3.bucket, Key="rotten")
    data = found["Body"].read()
    assert (len(data), data == BODY, found["Metadata"]) == (len(BODY), False, {"sha256": SHA256})


async def test_objects_outlive_an_outage(own: S3) -> None:
    """While it is down nothing answers, not even a kept connection; then all is there again."""
    client = own.client()
    await asyncio.to_thread(own.write, "kept", BODY)
    await asyncio.to_thread(client.list_buckets)
    await own.down()
    with pytest.raises(botocore.exceptions.BotoCoreError):
        await asyncio.to_thread(client.list_buckets)
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        await asyncio.to_thread(own.client().list_buckets)
    await own.up()
    assert await asyncio.to_thread(own.read, "kept") == BODY


async def test_a_busy_server_is_tried_again(own: S3) -> None:
    """SlowDown is what a client with retries survives and one without reports."""
    await own.fail_next()
    busy = await asyncio.to_thread(refusal, own.client().list_buckets)
    assert busy == (503, "SlowDown")
    await own.fail_next()
    answer = await asyncio.to_thread(own.client(retries=1).list_buckets)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
