"""The cluster launcher's files fit Ray's schema, the RayJob the fields of KubeRay's."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from cluster_files import FOLDER

LAUNCHED = ["aws.yaml", "gcp.yaml"]
SCRIPTS = ["sweep.sbatch", "sweep.sh"]
SCHEMA = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
RAYJOB = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text(encoding="utf-8"))


def read(name: str) -> list[Any]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


@pytest.fixture
def launched(request: pytest.FixtureRequest) -> dict[str, Any]:
    (made,) = read(request.param)
    return made


@pytest.fixture
def rayjob() -> dict[str, Any]:
    _, made = read("kuberay.yaml")
    return made


@pytest.mark.skipif(not SCHEMA.is_file(), reason="this Ray ships no schema of its launcher")
@pytest.mark.parametrize("launched", LAUNCHED, indirect=True)
def test_launcher_files_fit_rays_own_schema(launched: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(launched, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**launched, "workers": 3}, schema)


@pytest.mark.parametrize("launched", LAUNCHED, indirect=True)
def test_every_launched_machine_demands_the_token(launched: dict[str, Any]) -> None:
    starts = [
        command
        for kind in ("head", "worker")
        for command in launched[f"{kind}_start_ray_commands"]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    user = launched["auth"]["ssh_user"]
    assert launched["file_mounts"][f"/home/{user}/.ray/auth_token"] == "~/.ray/auth_token"
    assert "--dashboard-host=127.0.0.1" in starts[0]


@pytest.mark.parametrize("launched", LAUNCHED, indirect=True)
def test_launched_machines_have_the_package_the_folder_and_gpus(launched: dict[str, Any]) -> None:
    setup = "\n".join(launched["setup_commands"])
    assert re.search(r"pip install .*tl-sweep", setup)
    assert re.search(r"mount .*:/\S* /shared", setup)
    kinds = launched["available_node_types"]
    assert set(kinds) == {launched["head_node_type"], "gpu"}
    assert 0 < kinds["gpu"]["min_workers"] <= kinds["gpu"]["max_workers"]
    assert kinds["gpu"]["max_workers"] <= launched["max_workers"]


def test_the_rayjob_has_the_fields_that_kuberay_demands(rayjob: dict[str, Any]) -> None:
    jsonschema.validate(rayjob, RAYJOB)
    (group,) = rayjob["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    del group["template"]["spec"]["containers"]
    with pytest.raises(jsonschema.ValidationError, match="containers"):
        jsonschema.validate(rayjob, RAYJOB)
    group["template"]["spec"]["containers"] = [{"name": "a", "image": "b", "imagePull": "c"}]
    with pytest.raises(jsonschema.ValidationError, match="imagePull"):
        jsonschema.validate(rayjob, RAYJOB)


def test_the_rayjob_demands_a_token_of_a_ray_that_has_tokens(rayjob: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    version = cluster["rayVersion"]
    assert tuple(map(int, version.split("."))) >= (2, 52)
    image = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    assert f"FROM rayproject/ray:{version}-" in image
    assert f'"ray[default]=={version}"' in image


def test_the_volumes_of_the_rayjob_are_there_and_shared(rayjob: dict[str, Any]) -> None:
    claim, _ = read("kuberay.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    cluster = rayjob["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        for container in pod["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounts) <= set(volumes)
            assert mounts["shared"] == "/shared"
            assert {"name": "TL_SWEEP_CACHE", "value": mounts["cache"]} in container["env"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", FOLDER / script], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    done = subprocess.run(["shellcheck", FOLDER / script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
