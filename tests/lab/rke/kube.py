r"""Kubernetes objects as kube-apiserver keeps them in etcd: protobuf behind the magic "k8s\0".

rke talks to kube-apiserver; the double reads and writes the same keys in etcd through `docker exec etcd etcdctl`.
So the state goes back with a restore, as it does in a real cluster. Only the fields somebody looks at are encoded.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAGIC = b"k8s\x00"
STATE = "/registry/configmaps/kube-system/cluster-state"
FULL_STATE = "/registry/configmaps/kube-system/full-cluster-state"
SYSTEM_NAMESPACE = "/registry/namespaces/kube-system"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 2:
            size, at = _read_varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        elif tag & 7 == 0:
            _, at = _read_varint(data, at)
        else:
            at += {1: 8, 5: 4}[tag & 7]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


@dataclass(frozen=True)
class KubeObject:
    """One object: `data` is a ConfigMap's or Secret's data, empty for other kinds."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its key in etcd."""
        plural = {"ConfigMap": "configmaps", "Secret": "secrets", "Node": "minions", "Namespace": "namespaces"}
        return "/".join(part for part in ("/registry", plural[self.kind], self.namespace, self.name) if part)

    def encode(self) -> bytes:
        """The value kube-apiserver would store (runtime.Unknown around the object)."""
        labels = b"".join(_bytes(11, _pair(key, value.encode())) for key, value in self.labels.items())
        parts = ((1, self.name), (3, self.namespace), (5, self.uid))
        meta = b"".join(_bytes(number, text.encode()) for number, text in parts if text) + labels
        body = _bytes(1, meta) + b"".join(_bytes(2, _pair(key, value)) for key, value in self.data.items())
        kind = _bytes(1, b"v1") + _bytes(2, self.kind.encode())
        return MAGIC + _bytes(1, kind) + _bytes(2, body)

    @classmethod
    def decode(cls, value: bytes) -> "KubeObject":
        """Read a stored value back; raises ValueError when it is not protobuf of kube-apiserver."""
        if not value.startswith(MAGIC):
            raise ValueError("not a protobuf object of kube-apiserver")
        outer = dict(_fields(value[len(MAGIC) :]))
        kind = dict(_fields(outer[1]))[2].decode()
        body = list(_fields(outer[2]))
        meta = list(_fields(body[0][1]))
        names = {number: text.decode() for number, text in meta if number in {1, 3, 5}}
        labels = {key: text.decode() for number, raw in meta if number == 11 for key, text in [_unpair(raw)]}
        data = dict(_unpair(raw) for number, raw in body if number == 2) if kind in {"ConfigMap", "Secret"} else {}
        return cls(kind, names.get(1, ""), names.get(3, ""), names.get(5, ""), labels, data)


def _pair(key: str, value: bytes) -> bytes:
    return _bytes(1, key.encode()) + _bytes(2, value)


def _unpair(raw: bytes) -> tuple[str, bytes]:
    pair = dict(_fields(raw))
    return pair[1].decode(), pair.get(2, b"")


def config_map(name: str, text: str) -> KubeObject:
    """A ConfigMap of rke: its one entry carries the map's own name."""
    return KubeObject("ConfigMap", name, "kube-system", data={name: text.encode()})


def secret(name: str, data: Mapping[str, bytes]) -> KubeObject:
    """A certificate of rke, v0.1.x: entries Certificate, Key, Config."""
    return KubeObject("Secret", name, "kube-system", data=data)


def namespace(name: str, uid: str | None = None) -> KubeObject:
    """A namespace; the UID of kube-system tells one cluster from another."""
    return KubeObject("Namespace", name, uid=uid or str(uuid.uuid4()))


def node(name: str, roles: tuple[str, ...]) -> KubeObject:
    """A Node object with rke's role labels."""
    labels = {"kubernetes.io/hostname": name} | {f"node-role.kubernetes.io/{role}": "true" for role in roles}
    return KubeObject("Node", name, uid=str(uuid.uuid4()), labels=labels)
