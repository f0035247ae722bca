"""What rke runs on a node, as `docker run` arguments: names, images, binds, flags.

Source: rke v0.1.20 cluster/plan.go and v1.0.16; the etcd container also stands in the table "The etcd container,
as rke starts it". The lab's etcd speaks plain http on the node's own address (all nodes share one machine): with the
scheme http the certificate flags are still given, and etcd ignores them.
"""

from dataclasses import dataclass, field

from . import toolbox
from .config import Cluster, Host, section
from .settings import Settings

LABEL = "io.rancher.rke.container.name"
CERTS_BIND = "/etc/kubernetes:/etc/kubernetes:z"
BACKUP_BIND = "/opt/rke/etcd-snapshots/:/backup"
ETCD_BIND = "/var/lib/etcd:/var/lib/rancher/etcd/:z"

KUBELET_BINDS = (
    CERTS_BIND,
    "/etc/cni:/etc/cni:rw,z",
    "/opt/cni:/opt/cni:rw,z",
    "/var/lib/cni:/var/lib/cni:z",
    "/var/lib/kubelet:/var/lib/kubelet:shared,z",
    "/var/log/containers:/var/log/containers:z",
    "/var/log/pods:/var/log/pods:z",
)


@dataclass(frozen=True)
class Images:
    """Images of one rke release, unless the yml's system_images says otherwise."""

    etcd: str
    tools: str
    kubernetes: str

    @classmethod
    def of(cls, cluster: Cluster, settings: Settings) -> "Images":
        """The images this run uses."""
        etcd, tools, kube = (
            (
                "rancher/coreos-etcd:v3.2.24-rancher1",
                "rancher/rke-tools:v0.1.16-2",
                "rancher/hyperkube:v1.13.12-rancher1",
            )
            if settings.legacy
            else (
                "rancher/coreos-etcd:v3.4.3-rancher1",
                "rancher/rke-tools:v0.1.69",
                "rancher/hyperkube:v1.17.17-rancher1",
            )
        )
        return cls(cluster.image("etcd", etcd), cluster.image("alpine", tools), cluster.image("kubernetes", kube))


@dataclass(frozen=True)
class ContainerSpec:
    """One container as rke describes it."""

    name: str
    image: str
    command: tuple[str, ...]
    binds: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    network: str = "host"
    restart: str = ""
    privileged: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Everything after `docker run` or `docker create` but -d, -i and --rm."""
        words = ["--name", self.name]
        words += ["--net", self.network] if self.network else []
        words += ["--restart", self.restart] if self.restart else []
        words += ["--privileged"] if self.privileged else []
        words += [word for key, value in self.labels.items() for word in ("--label", f"{key}={value}")]
        words += [word for bind in self.binds for word in ("-v", bind)]
        words += [word for value in self.env for word in ("-e", value)]
        return [*words, self.image, *self.command]

    def run_argv(self) -> list[str]:
        """`docker run -d …`, whole."""
        return ["docker", "run", "-d", *self.arguments()]

    def create_argv(self) -> list[str]:
        """`docker create …`, whole."""
        return ["docker", "create", *self.arguments()]


@dataclass(frozen=True)
class Plan:
    """Container descriptions for one cluster and one rke release. `existing`: members join, they do not bootstrap."""

    cluster: Cluster
    settings: Settings
    images: Images
    existing: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()

    def url(self, host: Host, port: int) -> str:
        """An etcd URL of a node."""
        return f"{self.settings.etcd_scheme}://{host.internal_address}:{port}"

    def initial_cluster(self) -> str:
        """Members that etcd is told about: only hosts that could be reached."""
        hosts = [host for host in self.cluster.etcd_hosts if not self.ready or host.address in self.ready]
        return ",".join(f"etcd-{host.hostname}={self.url(host, 2380)}" for host in hosts)

    def etcdctl(self, host: Host) -> list[str]:
        """etcdctl for one member, with certificates when etcd asks for them."""
        call = ["etcdctl", f"--endpoints={self.url(host, 2379)}"]
        if self.settings.etcd_scheme == "http":
            return call
        names = {"cacert": "kube-ca.pem", "cert": "kube-node.pem", "key": "kube-node-key.pem"}
        return call + [f"--{flag}={toolbox.SSL_DIR}{name}" for flag, name in names.items()]

    def etcd(self, host: Host) -> ContainerSpec:
        """The etcd member."""
        cert = toolbox.SSL_DIR + host.etcd_cert
        authority = toolbox.SSL_DIR + "kube-ca.pem"
        flags = {
            "name": f"etcd-{host.hostname}",
            "data-dir": toolbox.DATA_DIR,
            "advertise-client-urls": self.url(host, 2379),
            "listen-client-urls": self.url(host, 2379),
            "initial-advertise-peer-urls": self.url(host, 2380),
            "listen-peer-urls": self.url(host, 2380),
            "initial-cluster-token": "etcd-cluster-1",
            "initial-cluster": self.initial_cluster(),
            "initial-cluster-state": "existing" if host.address in self.existing else "new",
            "trusted-ca-file": authority,
            "peer-trusted-ca-file": authority,
            "cert-file": f"{cert}.pem",
            "key-file": f"{cert}-key.pem",
            "peer-cert-file": f"{cert}.pem",
            "peer-key-file": f"{cert}-key.pem",
        }
        extra = {str(key): str(value) for key, value in section(self.cluster.etcd, "extra_args").items()}
        words = [f"--{key}={value}" for key, value in (flags | extra).items()]
        return ContainerSpec(
            name="etcd",
            image=self.images.etcd,
            command=("/usr/local/bin/etcd", "--peer-client-cert-auth", "--client-cert-auth", *words),
            binds=(ETCD_BIND, CERTS_BIND),
            env=self._etcd_env(host, cert),
            restart="always",
            labels={LABEL: "etcd"},
        )

    def _etcd_env(self, host: Host, cert: str) -> tuple[str, ...]:
        # v0.1.20 sets a name etcdctl does not know, so etcdctl warns; the lab's etcd is not on 127.0.0.1.
        unknown = ("ETCDCTL_ENDPOINT=https://0.0.0.0:2379",) if self.settings.legacy else ()
        if self.settings.etcd_scheme == "http":
            return ("ETCDCTL_API=3", *unknown, f"ETCDCTL_ENDPOINTS={self.url(host, 2379)}")
        files = {"CACERT": toolbox.SSL_DIR + "kube-ca.pem", "CERT": f"{cert}.pem", "KEY": f"{cert}-key.pem"}
        names = tuple(f"ETCDCTL_{key}={value}" for key, value in files.items())
        return ("ETCDCTL_API=3", *unknown, f"ETCDCTL_ENDPOINTS={self.url(host, 2379)}", *names)

    def component(self, host: Host, name: str) -> ContainerSpec:
        """One of the kube-* containers, kubelet or nginx-proxy."""
        if name == "nginx-proxy":
            servers = ",".join(control.internal_address for control in self.cluster.control_hosts)
            env = (f"CP_HOSTS={servers}",)
            return ContainerSpec(
                name, self.images.tools, ("nginx-proxy", *env), env=env, restart="always", labels={LABEL: name}
            )
        return ContainerSpec(
            name=name,
            image=self.images.kubernetes,
            command=("/opt/rke-tools/entrypoint.sh", name, *self._flags(host, name)),
            binds=KUBELET_BINDS if name == "kubelet" else (CERTS_BIND,),
            restart="always",
            privileged=name in {"kubelet", "kube-proxy"},
            labels={LABEL: name},
        )

    def _flags(self, host: Host, name: str) -> tuple[str, ...]:
        if name == "kube-apiserver":
            servers = ",".join(self.url(member, 2379) for member in self.cluster.etcd_hosts)
            ssl = toolbox.SSL_DIR
            return (
                "--bind-address=0.0.0.0",
                "--secure-port=6443",
                f"--advertise-address={host.internal_address}",
                f"--etcd-servers={servers}",
                f"--client-ca-file={ssl}kube-ca.pem",
                f"--tls-cert-file={ssl}kube-apiserver.pem",
                f"--tls-private-key-file={ssl}kube-apiserver-key.pem",
                "--service-cluster-ip-range=10.43.0.0/16",
            )
        config = {"kubelet": "kube-node", "kube-proxy": "kube-proxy"}.get(name, name)
        named = (
            (f"--hostname-override={host.hostname}",) if name in {"kubelet", "kube-proxy"} else ("--leader-elect=true",)
        )
        return (f"--kubeconfig={toolbox.SSL_DIR}kubecfg-{config}.yaml", *named, "--v=2")

    def sidekick(self) -> ContainerSpec:
        """service-sidekick: created, never started."""
        return ContainerSpec(
            "service-sidekick", self.images.tools, ("/bin/bash",), network="none", labels={LABEL: "service-sidekick"}
        )

    def rolling(self, host: Host) -> ContainerSpec:
        """etcd-rolling-snapshots."""
        return self._tools("etcd-rolling-snapshots", toolbox.rolling(), (BACKUP_BIND, CERTS_BIND), restart="always")

    def snapshot_once(self, host: Host, name: str) -> ContainerSpec:
        """etcd-snapshot-once: v0.1.12+ gives it restart policy always, v0.2 and later none."""
        text = toolbox.save(self.etcdctl(host), name, self.settings.retry_interval, zipped=not self.settings.legacy)
        restart = "always" if self.settings.legacy else "no"
        return self._tools("etcd-snapshot-once", text, (BACKUP_BIND, CERTS_BIND), restart=restart)

    def etcd_restore(self, host: Host, name: str) -> ContainerSpec:
        """etcd-restore: the node's own file into an emptied data directory."""
        flags = (
            f"--name=etcd-{host.hostname}",
            f"--initial-cluster={self.initial_cluster()}",
            "--initial-cluster-token=etcd-cluster-1",
            f"--initial-advertise-peer-urls={self.url(host, 2380)}",
        )
        binds = ("/opt/rke/:/opt/rke/:z", "/var/lib/etcd:/var/lib/rancher/etcd:z", CERTS_BIND)
        command = ("sh", "-c", toolbox.restore(name, flags))
        return ContainerSpec("etcd-restore", self.images.etcd, command, binds, ("ETCDCTL_API=3",))

    def bundle(self, text: str) -> ContainerSpec:
        """rke-bundle-cert, packing or unpacking."""
        return self._tools("rke-bundle-cert", text, (CERTS_BIND, BACKUP_BIND + ":z"), network="", privileged=True)

    def on_certs(self, name: str, text: str) -> ContainerSpec:
        """A one-shot that only sees /etc/kubernetes: cert-deployer, cert-fetcher, cluster-state-deployer."""
        return self._tools(name, text, (CERTS_BIND,), network="", privileged=True)

    def on_logs(self, name: str, text: str) -> ContainerSpec:
        """rke-log-linker and rke-log-cleaner."""
        return self._tools(name, text, ("/var/lib:/var/lib",), network="", privileged=True)

    def cleaner(self, directories: tuple[str, ...]) -> ContainerSpec:
        """kube-cleaner."""
        binds = tuple(f"{path}:{path}:z" for path in directories)
        return self._tools("kube-cleaner", toolbox.clean(directories), binds, network="")

    def backup(self, name: str, text: str) -> ContainerSpec:
        """v0.2 and later: etcd-Serve-backup and etcd-download-backup."""
        return self._tools(name, text, (BACKUP_BIND + ":z", CERTS_BIND), restart="no")

    def checksum(self, snapshot: str) -> ContainerSpec:
        """v0.2 and later: etcd-checksum-checker."""
        return self._tools("etcd-checksum-checker", toolbox.checksum(snapshot), ("/opt/rke/:/opt/rke/:z",), network="")

    def remove_snapshot(self, snapshot: str) -> ContainerSpec:
        """v0.2 and later: etcd-remove-snapshot, in the etcd image as rke does."""
        command = ("sh", "-c", toolbox.remove_plain(snapshot))
        return ContainerSpec(
            "etcd-remove-snapshot", self.images.etcd, command, (BACKUP_BIND + ":z",), network="", restart="no"
        )

    def fix_permissions(self) -> ContainerSpec:
        """v0.3 and later: etcd-fix-perm."""
        return self._tools("etcd-fix-perm", f"chmod 700 {toolbox.DATA_DIR}", (ETCD_BIND,), network="")

    def _tools(
        self,
        name: str,
        text: str,
        binds: tuple[str, ...],
        *,
        network: str = "host",
        restart: str = "",
        privileged: bool = False,
    ) -> ContainerSpec:
        command = ("sh", "-c", text)
        return ContainerSpec(name, self.images.tools, command, binds, (), network, restart, privileged)


def node_plan(cluster: Cluster, host: Host, settings: Settings) -> dict[str, ContainerSpec]:
    """Every long-running container of one node as `rke up` leaves it; service-sidekick is only created."""
    plan = Plan(cluster, settings, Images.of(cluster, settings))
    names = [*control_names(host), "kubelet", "kube-proxy"]
    specs = {"service-sidekick": plan.sidekick()} | {name: plan.component(host, name) for name in names}
    if host.is_etcd:
        specs |= {"etcd": plan.etcd(host), "etcd-rolling-snapshots": plan.rolling(host)}
    return specs


def control_names(host: Host) -> list[str]:
    """Controlplane containers of a node; nginx-proxy where there are none."""
    return ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] if host.is_control else ["nginx-proxy"]
