"""What is said of source weights before the first trial."""

from sweep.check_models import loaded_line


def test_the_line_on_source_weights_names_a_few_tensors():
    loaded = {
        "weights": "/far/away/mine.safetensors", "loaded": 7, "missing": [*"abcde"],
        "unexpected": [], "adapted": ["stem.0.weight"],
    }  # fmt: skip
    assert loaded_line("residual", loaded) == (
        "Source: 7 tensors of residual from mine.safetensors; new: a, b, c and 2 more;"
        " adapted: stem.0.weight"
    )
