"""What is said of source weights before the first trial."""

from sweep.check_models import loaded_line


def test_the_line_on_source_weights_names_a_few_tensors():
    loaded = {
        "weights": "/far/away/mine.safetensors", "loaded": 7, "tensors": 12,
        "missing": [*"abcde"], "unexpected": [], "adapted": ["stem.0.weight"], "wrapper": "",
        "prefix": "", "aside": [],
    }  # fmt: skip
    assert loaded_line("residual", loaded) == (
        "Source: 7 of 12 tensors of residual from mine.safetensors; new: a, b, c and 2 more;"
        " adapted: stem.0.weight"
    )


def test_the_line_says_where_in_the_file_they_were():
    loaded = {
        "weights": "run.ckpt", "loaded": 7, "tensors": 7, "missing": [], "unexpected": [],
        "adapted": [], "wrapper": "ema", "prefix": "model.", "aside": ["model: net."],
    }  # fmt: skip
    assert loaded_line("timm:resnet18", loaded) == (
        "Source: 7 of 7 tensors of timm:resnet18 from run.ckpt; under 'ema'; prefix 'model.' taken"
        " off; also there, not used: model: net."
    )
