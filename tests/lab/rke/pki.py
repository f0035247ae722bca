"""Certificates as rke makes, names and keeps them: kube-ca signs everything else.

Source: rke v0.1.20 pki/pki.go. File names: NAME.pem, NAME-key.pem, kubecfg-NAME.yaml in /etc/kubernetes/ssl, and a
copy of all of them in /etc/kubernetes/.tmp on etcd and controlplane nodes.
"""

import base64
import io
import ipaddress
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .config import Cluster, Host

CA = "kube-ca"
SERVICES = {
    "kube-apiserver": "Generating Kubernetes API server certificates",
    "kube-controller-manager": "Generating Kube Controller certificates",
    "kube-scheduler": "Generating Kube Scheduler certificates",
    "kube-proxy": "Generating Kube Proxy certificates",
    "kube-node": "Generating Node certificate",
    "kube-admin": "Generating admin certificates and kubeconfig",
}
AGGREGATION = ("kube-apiserver-requestheader-ca", "kube-apiserver-proxy-client")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM; an empty key where rke keeps it back."""

    certificate: bytes
    key: bytes = b""


Bundle = dict[str, Pair]


def new_authority(name: str = CA) -> Pair:
    """A self-signed authority, as the first `rke up` makes it."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key()).add_extension(
        x509.BasicConstraints(True, None), critical=True
    )
    return Pair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def signed(authority: Pair, name: str, names: Iterable[str] = (), organisation: str = "") -> Pair:
    """A certificate for servers and clients, signed by `authority`."""
    parent = x509.load_pem_x509_certificate(authority.certificate)
    parent_key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(parent_key, rsa.RSAPrivateKey):
        raise TypeError("rke's authorities have RSA keys")
    key = rsa.generate_private_key(65537, 2048)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = _builder(x509.Name(attributes), parent.subject, key.public_key()).add_extension(usage, critical=False)
    alternatives = [_alternative(text) for text in names]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return Pair(_pem(builder.sign(parent_key, hashes.SHA256())), _key_pem(key))


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
    )


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def etcd_pair(cluster: Cluster, authority: Pair) -> Pair:
    """One node's etcd certificate; rke puts the names of all etcd hosts into it."""
    names = ["localhost", "kubernetes", "kubernetes.default", "127.0.0.1", "10.43.0.1"]
    for host in cluster.etcd_hosts:
        names += [host.address, host.internal_address, host.hostname]
    return signed(authority, "kube-etcd", dict.fromkeys(names))


def api_pair(cluster: Cluster, authority: Pair) -> Pair:
    """kube-apiserver's certificate for all controlplane hosts."""
    names = ["localhost", "kubernetes", "kubernetes.default", "127.0.0.1", "10.43.0.1"]
    for host in cluster.control_hosts:
        names += [host.address, host.internal_address, host.hostname]
    return signed(authority, "kube-apiserver", dict.fromkeys(names))


def client_pair(authority: Pair, name: str) -> Pair:
    """A client certificate of rke: kube-admin is in system:masters, kube-node in system:nodes."""
    groups = {"kube-admin": "system:masters", "kube-node": "system:nodes"}
    common = name if name == "kube-admin" else f"system:{name.removeprefix('kube-')}"
    return signed(authority, common, organisation=groups.get(name, ""))


def files(bundle: Bundle) -> dict[str, bytes]:
    """File name to content, as they lie in a directory of certificates."""
    named = {f"{name}.pem": pair.certificate for name, pair in bundle.items()}
    return named | {f"{name}-key.pem": pair.key for name, pair in bundle.items() if pair.key}


def bundle_of(directory: Mapping[str, bytes]) -> Bundle:
    """The reverse of `files`; other files are left out."""
    names = [name.removesuffix(".pem") for name in directory if name.endswith(".pem") and not name.endswith("-key.pem")]
    return {name: Pair(directory[f"{name}.pem"], directory.get(f"{name}-key.pem", b"")) for name in names}


def for_host(bundle: Bundle, host: Host) -> Bundle:
    """What cert-deployer brings to one host (GenerateRKENodeCerts)."""
    names = {CA, "kube-node", "kube-proxy"}
    if host.is_control:
        names |= {*SERVICES, *AGGREGATION}
    if host.is_etcd:
        names |= {name for name in bundle if name.startswith("kube-etcd-")}
    chosen = {name: pair for name, pair in bundle.items() if name in names}
    if not host.is_control and CA in chosen:
        chosen[CA] = Pair(chosen[CA].certificate)
    return chosen


def kube_config(bundle: Bundle, server: str, cluster_name: str, user: str = "kube-admin") -> str:
    """A kubeconfig with the certificates inside, as rke writes kube_config_<file>."""
    data = {key: base64.b64encode(value).decode() for key, value in _kube_config_data(bundle, user).items()}
    return (
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    api-version: v1\n"
        f'    certificate-authority-data: {data["ca"]}\n    server: "{server}"\n  name: "{cluster_name}"\n'
        f'contexts:\n- context:\n    cluster: "{cluster_name}"\n    user: "{user}-{cluster_name}"\n'
        f'  name: "{cluster_name}"\ncurrent-context: "{cluster_name}"\nusers:\n- name: "{user}-{cluster_name}"\n'
        f"  user:\n    client-certificate-data: {data['crt']}\n    client-key-data: {data['key']}\n"
    )


def _kube_config_data(bundle: Bundle, user: str) -> dict[str, bytes]:
    pair = bundle.get(user, Pair(b""))
    return {"ca": bundle[CA].certificate, "crt": pair.certificate, "key": pair.key}


def tar_of(contents: Mapping[str, bytes]) -> bytes:
    """A tar for cert-deployer; keys 0600, everything else 0644, all root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600 if name.endswith("-key.pem") else 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def untar(data: bytes) -> dict[str, bytes]:
    """Regular files of a tar by base name."""
    if not data:
        return {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name.rsplit("/", 1)[-1]: opened.read()
            for member in archive
            if member.isfile() and (opened := archive.extractfile(member)) is not None
        }
