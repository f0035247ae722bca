"""Roles and approval policies: default deny."""

import json

import pytest

from bot.core.policy import ApprovalPolicy, Grant
from tests.unit import jobs


@pytest.mark.parametrize(
    ("grant", "covered"),
    [
        (Grant(), False),
        (Grant(everybody=True), True),
        (Grant(users=("U1",)), True),
        (Grant(users=("U2",)), False),
        (Grant(groups=("S1", "S9")), True),
        (Grant(groups=("S9",)), False),
    ],
)
def test_roles(grant: Grant, covered: bool) -> None:
    """A role is everybody's, or that of the users and groups it names."""
    assert grant.covers("U1", {"S1", "S2"}) is covered


@pytest.mark.parametrize(("counts", "people"), [(False, 3), (True, 2)])
def test_how_many_people_it_takes(counts: bool, people: int) -> None:
    """A requester who does not count is one person more."""
    assert jobs.with_policy(requester_counts=counts).people == people


def test_a_policy_survives_json() -> None:
    """The policy of the plan is the one that was shown."""
    assert ApprovalPolicy.from_json(json.loads(json.dumps(jobs.POLICY.to_json()))) == jobs.POLICY
