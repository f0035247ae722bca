"""The lab's machines: SSH servers with files of their own, nodes with a dockerd and a real etcd, the RKE host."""

from tests.lab.nodes.hosts import Host
from tests.lab.nodes.machines import Bastion, Machines
from tests.lab.nodes.node import Node
from tests.lab.nodes.rkehost import RkeHost

__all__ = ["Bastion", "Host", "Machines", "Node", "RkeHost"]
