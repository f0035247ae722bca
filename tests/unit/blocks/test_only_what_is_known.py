"""Messages say of rke, of a take-over and of a queue what the journal and rke's output say, and no more."""

from typing import Final

import pytest

from bot.core.approvals import CancelCode
from bot.core.events import EventType, Json
from bot.core.job import Job
from bot.core.plans import Kind
from bot.engine.usecases import CancelAnswer
from handlers import blocks
from handlers.blocks import Message, View
from tests.unit import jobs
from tests.unit.blocks.lines import lines

_PLAN: Final = jobs.restore_plan()
_NO_RETURN: Final = _PLAN.no_return or 0
_NOTHING: Final = "rke had removed nothing yet."


def _words(message: Message) -> str:
    return "\n".join(lines(message.text, message.blocks))


def _shown(job: Job, view: View | None = None) -> str:
    return _words(blocks.job_message(job, view or View(job.last_at + 1)))


def _taken_over(job: Job) -> str:
    return _shown(jobs.add(job, EventType.CLAIMED, lost_for=12))


def _failed(destroyed: bool | None, *, attempts: int = 1) -> Job:
    """A restore whose step of no return has failed that often, the last time with that judgement of rke's output."""
    job = jobs.running(done=_NO_RETURN)
    for attempt in range(1, attempts + 1):
        job = jobs.add(job, EventType.STEP_STARTED, step=_NO_RETURN, attempt=attempt)
        last: dict[str, Json] = {} if destroyed is None else {"destroyed": destroyed}
        job = jobs.add(job, EventType.STEP_FAILED, step=_NO_RETURN, attempt=attempt, error="rke failed", result=last)
        if attempt < attempts:
            job = jobs.add(_asking(job), EventType.HUMAN_CHOICE, choice="again", answers=job.version + 1)
    return job


def _asking(job: Job) -> Job:
    return jobs.add(job, EventType.NEEDS_HUMAN, what="rke failed", choices=["again", "hand-over"])


def test_a_take_over_tells_that_a_step_is_carried_out_again() -> None:
    """A step of the worker's own begins anew, still as attempt 1: "no step was repeated" would be wrong."""
    shown = _taken_over(jobs.running(done=1, started=True))
    assert "Step 2 is carried out from its beginning again, which does no harm." in shown
    assert "No step was" not in shown


def test_a_take_over_between_two_steps_repeats_none() -> None:
    """Nothing was running when the worker was lost."""
    assert "No step was running, so none is repeated." in _taken_over(jobs.running(done=1))


def test_a_take_over_does_not_claim_that_rke_ran() -> None:
    """The step had begun; whether rke had been launched stands on the RKE host only."""
    shown = _taken_over(jobs.running(done=_NO_RETURN, started=True))
    assert f"If rke had been started in step {_NO_RETURN + 1}, it is followed" in shown
    assert "ran on" not in shown


def test_a_lost_worker_between_two_steps_ran_none() -> None:
    """Its next step would be rke's, which nobody has started."""
    job = jobs.running(done=_NO_RETURN)
    assert "No step is running." in _shown(job, View(job.last_at + 1, worker_alive=False))


@pytest.mark.parametrize(
    ("ahead", "holder", "waits"),
    [(0, "", "a worker"), (0, "0123456789ab", "1 job before it"), (2, "0123456789ab", "3 jobs before it")],
)
def test_a_job_waits_for_a_worker_only_when_nothing_is_before_it(ahead: int, holder: str, waits: str) -> None:
    """The job at work, or the one that holds the cluster, has left the queue and is before it all the same."""
    shown = _shown(jobs.queued(Kind.SAVE), View(10, ahead=ahead, holder=holder))
    assert f"header prod: save waits for {waits}\n" in shown


def test_etcd_is_said_to_be_down_once_the_output_says_so() -> None:
    """rke first connects and looks; the step runs for a while before anything is removed."""
    job = jobs.running(done=_NO_RETURN, started=True)
    down = "etcd and the Kubernetes API are down."
    assert down not in _shown(job, View(10, {"1.1.1.1": "checksum taken"}))
    assert down in _shown(job, View(10, {"1.1.1.1": "etcd removed", "2.2.2.2": "cleaning"}))


def test_a_question_says_when_nothing_had_been_removed() -> None:
    """rke ended before it touched anything: nobody needs to hurry."""
    before = _failed(destroyed=False)
    job = _asking(before)
    shown = _shown(job)
    assert f"before anything was destroyed.* {_NOTHING}" in shown
    assert "until you bring it up" not in shown
    (told,) = blocks.replies(before, job, View(0))
    assert told.text.endswith(f"needs a decision. {_NOTHING}")


def test_a_question_says_when_the_cluster_is_down() -> None:
    """The output of the failed run showed that etcd was removed."""
    before = _failed(destroyed=True)
    job = _asking(before)
    assert "etcd stays as it is until you bring it up." in _shown(job)
    (told,) = blocks.replies(before, job, View(0))
    assert told.text.endswith("The cluster is down or half restored.")


@pytest.mark.parametrize("failed", [_failed(None), _failed(destroyed=False, attempts=2)])
def test_what_is_not_known_is_said_to_be_possible(failed: Job) -> None:
    """No output was judged, or only that of a second run: the first one may have removed etcd."""
    job = _asking(failed)
    shown = _shown(job)
    assert "etcd may be removed" in shown
    assert _NOTHING not in shown
    (told,) = blocks.replies(failed, job, View(0))
    assert told.text.endswith("The cluster may be down or half restored.")


def test_the_end_of_a_restore_that_removed_nothing_says_so() -> None:
    """Somebody took over by hand; nothing is put back, but etcd is there."""
    job = _asking(_failed(destroyed=False))
    assert job.question
    job = jobs.add(job, EventType.HUMAN_CHOICE, choice="hand-over", answers=job.question.version)
    shown = _shown(jobs.add(job, EventType.FAILED, what="A person took over by hand.", todo=""))
    assert "header prod: restore failed, nothing removed" in shown
    assert "cluster needs you" not in shown


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (jobs.running(done=_NO_RETURN, started=True), "rke removes etcd from all etcd nodes in this step"),
        (_failed(destroyed=False), _NOTHING),
        (_failed(destroyed=True), "etcd has been removed from all etcd nodes."),
        (jobs.running(done=_NO_RETURN + 1, started=True), "etcd holds the data of the snapshot"),
    ],
)
def test_a_refused_cancel_says_how_far_it_is(job: Job, words: str) -> None:
    """Why stopping would be worse than going on, as far as that is known."""
    assert words in _words(blocks.cancel_answer(CancelAnswer(CancelCode.TOO_LATE, job)))
