"""The source of a study: trained once, found again by what it was made of, never half trained."""

import dataclasses
import sys
from types import SimpleNamespace

import pytest

from sweep.driver import trained_source as module
from sweep.driver.trained_source import source_plan, trained_source, with_trained_source
from sweep.driver.unfinished import Unfinished
from sweep.plan.make_plan import make_plan
from sweep.results.manifest import write_manifest
from tl_core.config import TrainConfig
from tl_core.models import build_model
from tl_core.weights.weights_file import save_weights

STUDY = '''
"""Does it?"""
SOURCE = TrainConfig(dataset="shapes", width=4, lr=0.1, epochs=1)
SOURCE_SPACE = {"lr": Choice(0.1, 0.2), "dropout": Choice(0.0, 0.1)}
BASE = TrainConfig(dataset="digits", width=4, epochs=1)
SPACE = {"freeze_depth": Choice(0, 2)}
SEARCH = "grid"
'''


@pytest.fixture
def weights(tmp_path):
    """A weights file of ours."""
    config = TrainConfig(width=4)
    model = build_model(config, channels=3, num_classes=2, image_size=8)
    about = {"config": config, "classes": "ab", "mean": [0.5] * 3, "std": [0.2] * 3}
    save_weights(tmp_path / "w.safetensors", model, image_size=8, **about)
    return tmp_path / "w.safetensors"


@pytest.fixture
def source(monkeypatch, weights, manifest):
    """`trained`: sweeps of a source so far; `status`, `winner`, `base`, `took`: how each ends."""
    won = {
        "trial_id": "a_00000", "weights": str(weights), "val_accuracy": 0.5, "test_accuracy": 0.4,
    }  # fmt: skip
    found = SimpleNamespace(trained=[], status="finished", winner=won, base={}, took=0.0)
    clock = [0.0]

    def run_plan(plan, console):
        found.trained.append(plan.options)
        clock[0] += found.took
        base = {**plan.base.to_dict(), **found.base}
        about = {"status": found.status, "winner": found.winner, "base": base}
        write_manifest(plan.options.results, made := manifest(name="the-source", **about))
        return SimpleNamespace(name="the-source", manifest=made)

    monkeypatch.setattr(module, "run_plan", run_plan)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    return found


@pytest.fixture
def study(options, write_file, tmp_path, monkeypatch):
    """study(text, **options) → the plan of a study with its own neighbours and imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def forget():
        for name in [name for name in sys.modules if name.startswith(("user_", "beside", "deep"))]:
            del sys.modules[name]

    def make(text=STUDY, **fields):
        forget()  # as in a process of its own
        return make_plan(options(write_file(text), **fields))

    yield make
    forget()


def test_a_source_that_was_trained_before_is_found(study, source, terminal):
    plan = study()
    first = trained_source(plan, terminal)
    assert trained_source(plan, terminal) == first
    assert [options.source_settings for options in source.trained] == [()]
    assert trained_source(study(source_settings=("epochs=2",)), terminal) != first
    assert len(source.trained) == 2


CHANGES = {
    "a setting of the source": (STUDY.replace("lr=0.1, epochs=1", "lr=0.2, epochs=1"), {}, True),
    "its data": (STUDY.replace('"shapes", width', '"digits", width'), {}, True),
    "a level of its space": (STUDY.replace("Choice(0.1, 0.2)", "Choice(0.1, 0.4)"), {}, True),
    "the seed": (STUDY, {"seed": 1}, True),
    "code of the space's file": (STUDY + "\ndef build():\n    return 1\n", {}, True),
    "the transfers": (STUDY.replace("Choice(0, 2)", "Choice(0, 1)"), {}, False),
    "how they are searched": (STUDY + "TRIALS, SEEDS = 2, 3\n", {}, False),
    "how many, by another way to write it": (STUDY + "SEEDS = 2\nSEEDS += 1\n", {}, False),
    "the question": (STUDY.replace("Does it?", "Does it really?"), {}, False),
    "a comment": (STUDY + "# a comment\n", {}, False),
    "options of the transfers": (STUDY, {"epochs": 3, "limit_train": 50, "trials": 1}, False),
    "the machine": (STUDY, {"cpus": 1, "settings": ("threads=1", "eval_batch_size=7")}, False),
    "arithmetic": (STUDY, {"settings": ("precision=bf16",)}, True),
}


@pytest.mark.parametrize("case", CHANGES)
def test_the_source_is_trained_anew_where_its_numbers_change(study, source, terminal, case):
    text, fields, anew = CHANGES[case]
    trained_source(study(), terminal)
    trained_source(study(text, **fields), terminal)
    assert (len(source.trained) == 2) is anew


@pytest.mark.parametrize("file", ["mine", "beside", "deeper"])
def test_changed_code_of_an_import_or_of_its_neighbours_trains_anew(
    study, source, terminal, tmp_path, file
):
    text = {
        "mine": "import beside\nA = 1\n",
        "beside": "import deeper\nB = 1\n",
        "deeper": "C = 1",
    }
    files = {name: tmp_path / f"{name}.py" for name in text}
    for name, path in files.items():
        path.write_text(text[name])
    trained_source(study(imports=(str(files["mine"]),)), terminal)
    trained_source(study(imports=(str(files["mine"]),)), terminal)
    assert len(source.trained) == 1
    files[file].write_text(text[file] + "\nD = 12345\n")
    trained_source(study(imports=(str(files["mine"]),)), terminal)
    assert len(source.trained) == 2


@pytest.mark.parametrize(
    "line",
    [
        "from beside import RATE\n",
        "def later():\n    from beside import RATE\n    return RATE\n",
        "try:\n    import beside.missing\nexcept ImportError:\n    pass\n",
    ],
)
def test_changed_code_beside_the_space_trains_anew(study, source, terminal, tmp_path, line):
    text = line + STUDY
    (tmp_path / "beside.py").write_text("RATE = 1\n")
    trained_source(study(text), terminal)
    trained_source(study(text), terminal)
    assert len(source.trained) == 1
    (tmp_path / "beside.py").write_text("RATE = 12345\n")
    trained_source(study(text), terminal)
    assert len(source.trained) == 2


@pytest.mark.parametrize("importing", ["import", "space"])
def test_another_version_of_a_library_of_models_trains_anew(
    study, source, terminal, tmp_path, monkeypatch, importing
):
    def install(version):
        folder = tmp_path / version / "site-packages"
        about = folder / f"user_library-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "RECORD").write_text("user_library/__init__.py,,\n")
        (folder / "user_library").mkdir()
        (folder / "user_library" / "__init__.py").write_text(f"VERSION = {version!r}\n")
        monkeypatch.syspath_prepend(str(folder))

    mine = tmp_path / "mine.py"
    mine.write_text("import user_library\n" if importing == "import" else "")
    text = STUDY if importing == "import" else f"import user_library\n{STUDY}"
    for count, version in enumerate(("1.0", "2.0"), start=1):
        install(version)
        for _ in range(2):
            trained_source(study(text, imports=(str(mine),)), terminal)
            assert len(source.trained) == count


@pytest.mark.parametrize("field", ["weights", "teacher"])
def test_weights_that_the_source_starts_from_count_by_content(
    study, source, terminal, weights, tmp_path, field
):
    other = tmp_path / "other.safetensors"
    other.write_bytes(weights.read_bytes())
    named = [study(source_settings=(f"{field}={file}",)) for file in (weights, other)]
    assert trained_source(named[0], terminal) == trained_source(named[1], terminal)
    model = build_model(TrainConfig(width=4, seed=1), channels=3, num_classes=2, image_size=8)
    about = {"config": TrainConfig(width=4), "classes": "ab", "mean": [0.1] * 3, "std": [0.2] * 3}
    save_weights(other, model, image_size=8, **about)
    trained_source(named[1], terminal)
    assert len(source.trained) == 2


def kept(plan):
    return list((plan.options.results / "models").glob("*"))


def test_an_interrupted_source_is_not_kept_and_no_transfer_starts(study, source, page):
    plan, source.status = study(), "interrupted"
    with pytest.raises(KeyboardInterrupt):
        trained_source(plan, page)
    assert kept(plan) == []
    assert "the-source, the source, was interrupted: it is not kept" in page.file.getvalue()
    source.status = "finished"
    assert trained_source(plan, page).is_file()


def test_a_source_that_time_cut_off_is_not_kept(study, source, page):
    plan, source.status = study(time_budget=5), "timed_out"
    with pytest.raises(Unfinished, match="was cut off by the time budget: it is not kept"):
        trained_source(plan, page)
    assert kept(plan) == []


def test_a_source_without_a_model_is_unfinished(study, source, page):
    source.winner = None
    with pytest.raises(Unfinished, match="no trial of the source has a model; see `show the-"):
        trained_source(study(), page)


def test_the_source_takes_its_time_out_of_the_budget(study, source, page):
    plan, source.took = study(time_budget=60), 45
    assert with_trained_source(plan, page).options.time_budget == 15
    assert source.trained[0].time_budget == 60
    assert with_trained_source(plan, page).options.time_budget == 60  # kept: no time taken
    assert with_trained_source(study(), page).options.time_budget is None


def test_a_source_that_takes_all_the_time_is_kept_for_the_next(study, source, page):
    plan, source.took = study(time_budget=60), 60
    with pytest.raises(Unfinished, match="is kept for the next time"):
        with_trained_source(plan, page)
    assert len(kept(plan)) == 1


def test_what_bundled_data_made_is_used_but_not_kept_under_the_name(study, source, page, weights):
    plan, source.base = study(), {"dataset": "digits"}
    assert trained_source(plan, page) == weights
    assert kept(plan) == []


def test_the_plan_of_the_source_has_its_options(study):
    plan = study(source_dataset="digits", cpus=1, settings=("width=8",))
    made = source_plan(plan)
    assert (made.base.dataset, made.base.width, made.options.cpus) == ("digits", 8, 1)
    assert dataclasses.replace(plan.options).scratch is True
    assert made.options.scratch is False
