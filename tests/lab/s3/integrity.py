"""Bodies as S3 takes them: complete, with the hashes and checksums that the request promised."""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping

from tests.lab.s3.sigv4 import UNSIGNED, Refused

_CHECKSUM = "x-amz-checksum-"
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_ABOUT_CHECKSUMS = {"algorithm", "mode", "type"}

ALGORITHMS: Mapping[str, Callable[[bytes], bytes]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


def unpack(body: bytes, payload: str) -> tuple[bytes, dict[str, str]]:
    """Undo the aws-chunked form where `payload` announces it; returns the data and the trailing headers.

    Raises Refused when the body is not what the signed payload hash says.
    """
    if payload == _UNSIGNED_TRAILER:
        return _dechunk(body)
    if payload.startswith("STREAMING-"):
        raise Refused(501, "NotImplemented", f"The lab does not check {payload}, so it does not take it")
    if payload != UNSIGNED and hashlib.sha256(body).hexdigest() != payload:
        if not re.fullmatch("[0-9a-f]{64}", payload):
            raise Refused(400, "InvalidArgument", "x-amz-content-sha256 must be a valid value")
        raise Refused(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    return body, {}


def check(data: bytes, headers: Mapping[str, str]) -> None:
    """Hold the data against every checksum named in `headers` (lower case names); raises Refused."""
    for name, value in headers.items():
        algorithm = name.removeprefix(_CHECKSUM)
        if name.startswith(_CHECKSUM) and algorithm not in _ABOUT_CHECKSUMS:
            _check_one(data, algorithm, value)
    md5 = headers.get("content-md5")
    if md5 is not None and _decoded(md5, 16, "InvalidDigest", "content-md5") != hashlib.md5(data).digest():
        raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")


def _check_one(data: bytes, algorithm: str, value: str) -> None:
    compute = ALGORITHMS.get(algorithm)
    if compute is None:
        raise Refused(501, "NotImplemented", f"The lab does not compute {algorithm}, so it does not take it")
    digest = compute(data)
    if _decoded(value, len(digest), "InvalidRequest", _CHECKSUM + algorithm) != digest:
        raise Refused(400, "BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum.")


def _decoded(value: str, size: int, code: str, header: str) -> bytes:
    try:
        raw = base64.b64decode(value, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != size:
        raise Refused(400, code, f"Value for {header} header is invalid.")
    return raw


def _dechunk(body: bytes) -> tuple[bytes, dict[str, str]]:
    data, at = bytearray(), 0
    try:
        while True:
            end = body.index(b"\r\n", at)
            size = int(body[at:end].partition(b";")[0], 16)
            at = end + 2
            if size == 0:
                break
            data += body[at : at + size]
            at += size + 2
    except ValueError:
        raise Refused(400, "IncompleteBody", "The request body terminated unexpectedly") from None
    lines = (line.decode().partition(":") for line in body[at:].split(b"\r\n") if line)
    return bytes(data), {name.strip().lower(): value.strip() for name, _, value in lines}
