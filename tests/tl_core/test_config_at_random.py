"""Whatever values a configuration is given, it is refused in one line or is sound."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hostile.mutate import check_refusal
from tests.properties import few
from tl_core.config import FIELDS, TrainConfig, config_from_dict, config_id, parse_value
from tl_core.errors import BadInput

NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([10**400, -(10**400), 2**63, 2**63 - 1, 1e308])
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20))
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)
NAMES = st.one_of(st.sampled_from(sorted(FIELDS)), st.text(max_size=12))
CODE = "__import__('os').system('touch {}')"


@few
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_values_are_refused_or_make_a_sound_configuration(values):
    try:
        config = config_from_dict(values)
    except BadInput as refusal:
        check_refusal(refusal)
        return
    assert config_from_dict(config.to_dict()) == config
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert len(config_id(config, data="x")) == 12


@few
@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=30))
def test_any_text_of_a_setting_is_refused_or_is_a_value(name, text):
    try:
        value = parse_value(name, text)
        config_from_dict({name: value})
    except BadInput as refusal:
        check_refusal(refusal)


TEXTS = (CODE, "9" * 5000, "nan", "1e999", "", "\0", "٣", "-" * 9999 + "1")


@pytest.mark.parametrize("text", TEXTS, ids=[text[:9] or "empty" for text in TEXTS])
def test_no_setting_runs_code_or_fails_otherwise(text, tmp_path):
    for name in FIELDS:
        try:
            TrainConfig(**{name: parse_value(name, text.format(tmp_path / "touched"))})
        except BadInput as refusal:
            check_refusal(refusal)
    assert not (tmp_path / "touched").exists()
