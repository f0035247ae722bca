"""How a step judges what rke has done: its exit status alone proves nothing."""

from pathlib import Path

import pytest

from bot.engine.steps.host import RESTORE, UP
from bot.errors import NeedsPerson

_NODE_LOST = (Path(__file__).parents[1] / "data/rke/v0.1.20-restore-node-3-unreachable.txt").read_text()
_WHOLE = (Path(__file__).parents[1] / "data/rke/v0.1.20-restore-same-file-on-all-three-nodes.txt").read_text()
_ETCD = ("10.77.0.1", "10.77.0.2", "10.77.0.3")


def test_a_restore_without_one_of_the_etcd_nodes_has_failed() -> None:
    """rke v0.1.20 says status 0 and has made a smaller cluster: a person must hear of it before anything goes on."""
    with pytest.raises(NeedsPerson, match=r"left out 10\.77\.0\.3"):
        RESTORE.result(0, _NODE_LOST, _ETCD)


def test_a_restore_may_leave_out_a_worker() -> None:
    """The approvers have confirmed that; the end says it."""
    result = RESTORE.result(0, _NODE_LOST, _ETCD[:2])
    assert "rke left out 10.77.0.3" in str(result["warnings"])


def test_a_restore_of_every_etcd_node_is_a_result() -> None:
    """Nothing was left out."""
    assert RESTORE.result(0, _WHOLE, _ETCD)["status"] == 0


def test_rke_up_is_judged_by_what_is_verified_after_it() -> None:
    """It goes on without a node, and the last step sees what is missing."""
    assert UP.result(0, _NODE_LOST, _ETCD)["status"] == 0
