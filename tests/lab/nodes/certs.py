"""The cluster's certificates, laid out as rke leaves them in /etc/kubernetes/ssl.

The authority has an RSA key, as rke's; the others have elliptic ones here because those are made in a millisecond.
Names of files and subjects are rke's (pki/services.go).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
_YEARS = timedelta(days=3650)

COMPONENTS: dict[str, tuple[str, str]] = {
    "kube-apiserver": ("system:kube-apiserver", ""),
    "kube-apiserver-proxy-client": ("system:kube-apiserver-proxy-client", ""),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-node": ("system:node", "system:nodes"),
    "kube-admin": ("kube-admin", "system:masters"),
    "kube-service-account-token": ("kube-service-account-token", ""),
}
"""Certificate files every node has, with common name and organisation."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM (traditional form, as rke writes its keys)."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )


def make_ca(name: str = "kube-ca", *, valid: timedelta = _YEARS) -> KeyPair:
    """A new certificate authority."""
    key = rsa.generate_private_key(65537, 2048)
    subject = _name(name)
    builder = _builder(subject, subject, key, valid).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return KeyPair(builder.sign(key, hashes.SHA256()), key)


def issue(
    ca: KeyPair, name: str, organisation: str = "", addresses: Iterable[str] = (), *, valid: timedelta = _YEARS
) -> KeyPair:
    """A certificate signed by ``ca`` for clients and servers; ``addresses`` are IP addresses it is good for."""
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in _SERVICE_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(a)) for a in ("127.0.0.1", *addresses)]
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        _builder(_name(name, organisation), ca.certificate.subject, key, valid)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usages, critical=False)
    )
    return KeyPair(builder.sign(ca.key, hashes.SHA256()), key)


def _name(common: str, organisation: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, valid: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + valid)
    )


def etcd_certificate_name(address: str) -> str:
    """The file name of a member's certificate: kube-etcd-10-77-0-1."""
    return f"kube-etcd-{address.replace('.', '-')}"


class Pki:
    """All certificates of one cluster, each made when first asked for."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = list(addresses)
        self._issued: dict[str, KeyPair] = {}

    @cached_property
    def ca(self) -> KeyPair:
        """kube-ca."""
        return make_ca()

    @cached_property
    def request_header_ca(self) -> KeyPair:
        """The authority of the API server's proxy client."""
        return make_ca("kube-apiserver-requestheader-ca")

    def pair(self, name: str) -> KeyPair:
        """The certificate of that file name, e.g. ``kube-node`` or ``kube-etcd-10-77-0-1``."""
        if name == "kube-ca":
            return self.ca
        if name == "kube-apiserver-requestheader-ca":
            return self.request_header_ca
        if name not in self._issued:
            common, organisation = COMPONENTS.get(name, ("system:" + name, ""))
            self._issued[name] = issue(self.ca, common, organisation, self.addresses)
        return self._issued[name]

    def names(self, etcd_addresses: Iterable[str]) -> list[str]:
        """File names of everything rke deploys to a node of a cluster with these members."""
        fixed = ["kube-ca", "kube-apiserver-requestheader-ca", *COMPONENTS]
        return fixed + [etcd_certificate_name(a) for a in etcd_addresses]

    def files(self, etcd_addresses: Iterable[str]) -> dict[str, bytes]:
        """File name to content of /etc/kubernetes/ssl."""
        content: dict[str, bytes] = {}
        for name in self.names(etcd_addresses):
            pair = self.pair(name)
            content[f"{name}.pem"] = pair.certificate_pem
            content[f"{name}-key.pem"] = pair.key_pem
        return content

    def deploy(self, ssl_directory: Path, etcd_addresses: Iterable[str]) -> None:
        """Write the files, as cert-deployer does."""
        ssl_directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.files(etcd_addresses).items():
            target = ssl_directory / name
            target.write_bytes(content)
            target.chmod(0o600 if name.endswith("-key.pem") else 0o644)
