"""Properties of a plan's digest: it covers what decides, and nothing that may change."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import Json
from bot.core.findings import Finding, Level
from bot.core.plans import AfterDeath, Kind, Plan, Step, canonical

_texts = st.text(max_size=12)
_plain: st.SearchStrategy[Json] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts
)
_json: st.SearchStrategy[Json] = st.recursive(
    _plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=6
)
_data = st.dictionaries(_texts, _json, max_size=4)
_flags = st.booleans()
_steps = st.builds(Step, _texts, _texts, _texts, _flags, _flags, _flags, st.sampled_from(AfterDeath))
_findings = st.builds(Finding, _texts, st.sampled_from(Level), _texts, _texts, _texts)
plans = st.builds(
    Plan,
    st.sampled_from(Kind),
    _texts,
    _texts,
    st.lists(_steps, max_size=4).map(tuple),
    _data,
    _data,
    st.lists(_findings, max_size=3).map(tuple),
)


@given(plans)
def test_a_plan_survives_json_with_its_digest(plan: Plan) -> None:
    """What comes back from the journal is the plan that was voted on."""
    stored = json.loads(json.dumps(plan.to_json()))
    again = Plan.from_json(stored)
    assert again == plan
    assert again.digest == plan.digest


@given(plans, _data, st.lists(_findings, max_size=3))
def test_notes_and_findings_may_change(plan: Plan, notes: dict[str, Json], findings: list[Finding]) -> None:
    """Sizes, ages and wording are not voted on."""
    assert replace(plan, notes=notes, findings=tuple(findings)).digest == plan.digest


@given(plans, plans)
def test_what_decides_is_covered(one: Plan, other: Plan) -> None:
    """Two plans have one digest exactly if kind, cluster, snapshot, steps and pins are the same JSON."""

    def decides(plan: Plan) -> bytes:
        return canonical([plan.kind.value, plan.cluster, plan.snapshot, [s.to_json() for s in plan.steps], plan.pins])

    for changed in (
        other,
        replace(one, pins=other.pins),
        replace(one, steps=other.steps),
        replace(one, snapshot=other.snapshot),
        replace(one, cluster=other.cluster),
        replace(one, kind=other.kind),
        replace(one, steps=one.steps[::-1]),
    ):
        assert (changed.digest == one.digest) == (decides(changed) == decides(one))


@given(_data)
def test_order_of_keys_does_not_count(pins: dict[str, Json]) -> None:
    """Equal values have one digest, however they were put together."""
    assert canonical(pins) == canonical(dict(reversed(pins.items())))
