"""One module per kind of step. A step is a read or idempotent: a worker that takes over carries it out again.

`ATTACHED` maps a kind to `async run(context) -> result`; `DETACHED` maps it to an rke command.
"""

from bot.engine.context import Attached, Context, Detached
from bot.engine.steps import copies, host, nodes, restore, save, verify

ATTACHED: dict[str, Attached] = {
    "check": save.check,
    "check_copies": copies.check,
    "store": copies.store,
    "revalidate": restore.revalidate,
    "safety_copy": restore.safety_copy,
    "prepare": host.prepare,
    "stage": copies.stage,
    "restart_api": nodes.restart_api,
    "restart_all": nodes.restart_all,
    "verify": verify.verify,
}
DETACHED: dict[str, Detached] = {
    "rke_save": host.SAVE,
    "rke_restore": host.RESTORE,
    "rke_up": host.UP,
}

__all__ = ["ATTACHED", "DETACHED", "Context"]
