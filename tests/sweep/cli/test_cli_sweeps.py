"""The command line on sweeps that are there, and how it ends when they end otherwise."""

import json
import os
import sys
from types import SimpleNamespace

import pytest

from sweep.driver import runner
from sweep.driver.unfinished import Unfinished
from sweep.results.manifest import run_folder, write_manifest
from sweep.results.tables import read_table, write_rows


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Ray's variables are for a process that starts it."""
    monkeypatch.setattr(runner, "prepare_environment", lambda address: None)


@pytest.fixture
def results(tmp_path, manifest, trial_row):
    """Results with the finished sweep s1 of two trials."""
    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest(winner=None))
    write_rows(tmp_path, "trials", "s1", [trial_row(n, 0.9 + n / 100) for n in range(2)])
    return tmp_path


def test_list_show_and_delete(call, refused, results):
    code, out, _ = call("list", "--results", results)
    assert code == 0
    assert "s1" in out
    assert "finished" in out
    code, out, _ = call("show", "s1", "--results", results)
    assert code == 0
    assert "2 trials" in out
    code, out, _ = call("delete", "s1", "--yes", "--results", results)
    assert code == 0
    assert out.startswith("Deleted s1: ")
    assert read_table(results, "trials", "s1").empty
    for command in ("show", "delete"):
        assert "no sweep 's1'" in refused(command, "s1", "--results", results)
    code, out, _ = call("list", "--results", results)
    assert (code, "No sweeps in" in out) == (0, True)
    assert "python -m sweep ablation --dataset digits" in out


def test_every_command_names_the_results_folder_as_it_was_given(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("show", "resume", "retry", "pictures", "delete"):
        said = refused(command, "s1", "--results", "nowhere")
        assert said.startswith("no sweep 's1' in nowhere: there are none yet"), command


def test_effects_of_a_sweep_with_stopped_trials_are_shown_when_asked_for(
    call, refused, tmp_path, manifest, trial_row
):
    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest(scheduler="asha"))
    varied = [{}, {"dropout": 0.2}, {"batch_size": 128, "status": "stopped"}]
    rows = [
        trial_row(2 * n + seed, 0.9 + 0.01 * (n - seed), config_id=str(n), seed=seed,
                  **{"dropout": 0.0, "batch_size": 64, **own})
        for n, own in enumerate(varied) for seed in (0, 1)
    ]  # fmt: skip
    write_rows(tmp_path, "trials", "s1", rows)
    _, out, _ = call("show", "s1", "--results", tmp_path)
    assert "Effects on validation accuracy" not in out
    assert "No effects: 2 of 6 trials were stopped early" in out
    assert f"show s1 --results {tmp_path} --effects-anyway" in out
    _, out, _ = call("show", "s1", "--effects-anyway", "--results", tmp_path)
    assert "Effects on validation accuracy" in out
    assert "Biased: 2 of 6 trials were stopped early" in out
    write_manifest(tmp_path, manifest(search="random"))
    line = refused("show", "s1", "--effects-anyway", "--results", tmp_path)
    assert line.startswith("--effects-anyway: s1 has no effects to show. A search")


def test_a_deletion_is_asked_for(call, results, monkeypatch):
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 - nobody answers
    code, _, err = call("delete", "s1", "--results", results)
    assert code != 0
    assert "Traceback" not in err
    assert len(read_table(results, "trials", "s1")) == 2


def test_what_to_do_with_a_kept_model_names_the_results(call, results, monkeypatch):
    monkeypatch.setattr(
        "sweep.results.sources.keep_winner",
        lambda *arguments: SimpleNamespace(name="mine", val_accuracy=0.5, test_accuracy=None),
    )
    code, out, _ = call("pretrain", "--from", "s1", "--results", results)
    assert code == 0
    assert f"transfer --source mine --results {results} --dataset" in out


def test_damaged_sweeps_are_listed_shown_in_one_line_and_deleted(call, refused, results):
    run_folder(results, "s2").mkdir(parents=True)
    (run_folder(results, "s2") / "sweep.json").write_text('{"name": "s2", "spa')
    code, out, err = call("list", "--results", results)
    assert (code, err) == (0, "")
    assert "s1" in out
    assert "damaged" in out
    assert "s2: " in out.splitlines()[-1]
    assert "sweep.json is damaged" in refused("show", "s2", "--results", results)
    assert "sweep.json is damaged" in refused("pictures", "s2", "--results", results)
    assert call("delete", "s2", "--yes", "--results", results)[0] == 0
    assert "s2" not in call("list", "--results", results)[1]
    assert len(read_table(results, "trials", "s1")) == 2


def test_a_sweep_of_another_machine_is_deleted_by_force(call, refused, results, manifest):
    write_manifest(results, manifest(status="running", host="another"))
    said = refused("delete", "s1", "--yes", "--results", results)
    assert said.endswith("if it has ended, `delete --force` removes it.")
    assert call("delete", "s1", "--yes", "--force", "--results", results)[0] == 0


def test_damaged_models_are_listed(call, results):
    (results / "models" / "bad").mkdir(parents=True)
    code, out, _ = call("sources", "--results", results)
    assert (code, "bad is damaged" in out) == (0, True)


def end_sweeps(monkeypatch, *ends):
    """Let each sweep end so: with a status, or with an exception. Returns the spaces that ran."""
    ended, ran = list(ends), []

    def run_sweep(options, console, space=None):
        ran.append(options.space if space is None else space.name)
        end = ended.pop(0)
        if isinstance(end, BaseException):
            raise end
        about = SimpleNamespace(status=end, winner=None)
        code = {"interrupted": 130, "timed_out": 1}.get(end, 0)
        return SimpleNamespace(name="x", manifest=about, exit_code=code)

    monkeypatch.setattr(runner, "run_sweep", run_sweep)
    monkeypatch.setattr("sweep.use.pretrain.run_sweep", run_sweep)
    monkeypatch.setattr("sweep.use.pretrain.print_result", lambda result, console: None)
    monkeypatch.setattr("sweep.report.tables.print_result", lambda result, console: None)
    monkeypatch.setattr("sweep.cli.space_command.draw_pictures", lambda result: None)
    return ran


RUNS = """
BASE = TrainConfig(dataset="digits")
SPACE = {"lr": Choice(0.1, 0.2)}
RUNS = {"a": {"width": 8}, "b": {"width": 16}, "c": {"width": 32}}
"""


def test_after_an_interrupted_run_of_a_study_no_other_starts(
    call, write_file, tmp_path, monkeypatch
):
    ran = end_sweeps(monkeypatch, "finished", "interrupted")
    code, out, err = call(write_file(RUNS), "--results", tmp_path)
    assert (code, ran) == (130, ["my_space-a", "my_space-b"])
    assert "Not started: my_space-c." in out
    assert err == "Interrupted.\n"


def test_an_interrupt_between_runs_ends_with_130(call, write_file, tmp_path, monkeypatch):
    ran = end_sweeps(monkeypatch, "finished", KeyboardInterrupt())
    code, out, err = call(write_file(RUNS), "--results", tmp_path)
    assert (code, len(ran), "Traceback" in out + err) == (130, 2, False)
    assert "Not started: my_space-c." in out


def test_a_source_that_could_not_be_trained_ends_with_1(call, write_file, tmp_path, monkeypatch):
    end_sweeps(monkeypatch, Unfinished("no model"))
    code, _, err = call(write_file(RUNS), "--results", tmp_path)
    assert (code, err) == (1, "error: no model\n")


@pytest.mark.parametrize(("status", "code"), [("interrupted", 130), ("finished", 1)])
def test_pretraining_that_gave_no_model(call, tmp_path, monkeypatch, status, code):
    end_sweeps(monkeypatch, status)
    ended, _, err = call("pretrain", "--dataset", "digits", "--results", tmp_path)
    assert ended == code
    assert err.count("\n") == 1


def test_source_weights_with_nan_are_named_and_the_code_is_one(call, tmp_path):
    import torch

    from tl_core import TrainConfig
    from tl_core.models import build_model

    model = build_model(TrainConfig(width=4), channels=1, num_classes=10, image_size=8)
    weights = {name: torch.full_like(value, torch.nan) for name, value in model.named_parameters()}
    torch.save(weights, tmp_path / "diverged.pth")
    code, _, error = call(
        "ablation", "--dataset", "digits", "--source", tmp_path / "diverged.pth", "--set",
        "width=4", "--results", tmp_path / "results",
    )  # fmt: skip
    assert code == 1
    assert error.count("\n") == 1
    assert "diverged.pth' are NaN or infinite" in error


OF_LIST = {
    "name": str, "state": str, "trials": int, "test_accuracy": float, "best_val_accuracy": float,
    "best_of": int, "confirmed": bool, "disk_bytes": int, "problems": list, "space": str,
    "started_at": str, "ended_at": None, "trials_planned": int,
}  # fmt: skip
OF_SHOW = {
    "name": str, "state": str, "trials": int, "statuses": dict, "space": str, "started_at": str,
    "ended_at": None, "trials_planned": int, "question": str, "search": str, "scheduler": str,
    "seeds": int, "fields": dict, "winner": dict, "notes": list, "errors": list, "exit_code": int,
    "top": list, "effects": list, "importance": list, "strategies": list, "effects_refused": None,
    "failures": list,
}  # fmt: skip


def of_types(found, kinds):
    assert list(found) == list(kinds)
    for name, kind in kinds.items():
        assert found[name] is None if kind is None else type(found[name]) is kind, name


@pytest.fixture
def strict():
    """Reads JSON that has neither NaN nor Infinity."""

    def read(text):
        return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))

    return read


def test_sweeps_as_json(call, strict, results, manifest):
    write_manifest(results, manifest(winner={"trial_id": "s1_00001", "test_accuracy": 0.5}))
    run_folder(results, "s2").mkdir(parents=True)
    code, out, err = call("list", "--json", "--results", results)
    assert (code, err) == (0, "")
    damaged, found = strict(out)
    of_types(found, OF_LIST)
    assert (found["name"], found["trials"], found["test_accuracy"]) == ("s1", 2, 0.5)
    assert (found["best_val_accuracy"], found["best_of"]) == (0.91, 1)
    assert (damaged["name"], damaged["state"], damaged["space"]) == ("s2", "damaged", None)
    assert (damaged["best_val_accuracy"], damaged["test_accuracy"]) == (None, None)
    assert "sweep.json is missing" in damaged["problems"][0]
    assert strict(call("list", "--json", "--results", results / "none")[1]) == []


def test_a_sweep_as_json(call, strict, tmp_path, manifest, trial_row):
    run_folder(tmp_path, "s1").mkdir(parents=True)
    winner = {"trial_id": "s1_00000", "test_accuracy": float("nan"), "values": {"lr": 0.1}}
    write_manifest(tmp_path, manifest(winner=winner))
    levels = [{}, {"dropout": 0.2}, {"batch_size": 128}]
    rows = [
        trial_row(2 * n + seed, 0.9 - 0.01 * n, config_id=str(n), seed=seed,
                  **{"dropout": 0.0, "batch_size": 64, **own})
        for n, own in enumerate(levels) for seed in (0, 1)
    ]  # fmt: skip
    write_rows(tmp_path, "trials", "s1", [*rows, trial_row(9, None, status="failed")])
    code, out, err = call("show", "s1", "--json", "--results", tmp_path)
    assert (code, err) == (0, "")
    found = strict(out)
    of_types(found, OF_SHOW)
    assert found["statuses"] == {"completed": 6, "failed": 1}
    assert (found["exit_code"], found["trials"]) == (1, 7)
    assert found["winner"]["trial_id"] == "s1_00000"
    assert found["winner"]["test_accuracy"] is None
    assert [row["config_id"] for row in found["top"]][:3] == ["0", "1", "2"]
    assert found["top"][0]["val_accuracy"] == pytest.approx(0.9)
    assert {row["factor"] for row in found["effects"]} == {"dropout", "batch_size"}


def test_no_sweep_as_json_is_an_error_like_any_other(refused, results):
    assert refused("show", "s9", "--json", "--results", results).startswith("no sweep 's9'")
