from pathlib import Path

from sweep.options.sweep_options import SweepOptions, space_command


def test_the_command_repeats_all_but_strategy_and_name():
    options = SweepOptions(
        space="./my space.py", dataset="digits", epochs=2, cpus=1, design="factorial", trials=3,
        seeds=2, name="x", settings=("width=8", "lr=0.1"), imports=("a.py",), results=Path("out"),
        time_budget=9.0,
    )  # fmt: skip
    assert space_command(options) == (
        "python -m sweep './my space.py' --dataset digits --epochs 2 --set width=8 "
        "--set lr=0.1 --import a.py --cpus 1 --results out"
    )
    packed = SweepOptions(space="ablation", trials_per_gpu=2)
    assert space_command(packed) == "python -m sweep ablation --trials-per-gpu 2"
    assert space_command(SweepOptions(space="ablation")) == "python -m sweep ablation"
