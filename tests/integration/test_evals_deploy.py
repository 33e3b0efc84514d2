"""The files that run the evaluations every night name commands, options and settings that exist."""

import shlex
import tomllib
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from api.cli.main import app
from evals.gate import read_gate
from infra.settings import Settings

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"
COMMANDS = typer.main.get_command(app)
SETTINGS = {f"FOOTNOTE_{field.name.upper()}" for field in fields(Settings)}


def parses(words: list[str]) -> str:
    """Hand ``words`` to the command line's own parser, without running; returns the command's path."""
    assert Path(words[0]).name == "footnote"
    command: Any = COMMANDS
    context = click.Context(command, info_name="footnote")
    rest, path = words[1:], []
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, words
        context = click.Context(command, info_name=name, parent=context)
        path.append(name)
    # Raises for an unknown option, a missing argument or a bad value.
    command.make_context(path[-1], list(rest), parent=context.parent)
    return " ".join(path)


def test_the_parser_tells_real_options_from_others() -> None:
    assert parses(["footnote", "eval", "run", "x", "--baseline", "last"]) == "eval run"
    with pytest.raises(Exception, match="No such option: --basline"):
        parses(["footnote", "eval", "run", "x", "--basline", "last"])


def unit(name: str) -> ConfigParser:
    # Keys come several times in units; the last one is enough here. `%` and case are systemd's own.
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd" / name)
    return parser


def test_cron_runs_the_evaluation_and_prints_only_what_did_not_pass() -> None:
    lines = (DEPLOY / "cron" / "footnote-evals").read_text().splitlines()
    (job,) = [line for line in lines if line[:1].isdigit()]
    schedule, user, command = job.split()[:5], job.split()[5], job.split(maxsplit=6)[6]
    assert (schedule, user) == (["17", "3", "*", "*", "*"], "footnote")
    run, _, otherwise = command.partition(" >")
    assert parses(shlex.split(run)) == "eval run"
    log = otherwise.split()[0]
    assert otherwise.endswith(f"2>&1 || cat {log}")
    assert "%" not in job  # cron reads it as a line break


@pytest.mark.parametrize(("name", "command"), [("footnote.service", "serve"), ("footnote-evals.service", "eval run")])
def test_units_start_real_commands(name: str, command: str) -> None:
    service = unit(name)["Service"]
    assert parses(shlex.split(service["ExecStart"])) == command
    assert service["User"] == "footnote"


def test_an_inconclusive_night_is_no_failure_of_the_unit() -> None:
    assert unit("footnote-evals.service")["Service"]["SuccessExitStatus"] == "2"


def test_the_timer_starts_the_unit_every_night() -> None:
    timer = unit("footnote-evals.timer")["Timer"]
    assert (timer["Unit"], timer["OnCalendar"]) == ("footnote-evals.service", "*-*-* 03:17:00")


def manifests() -> dict[str, dict[str, Any]]:
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {f"{path.name}" for path in folder.glob("*.yaml")} == {*listed, "kustomization.yaml"}
    documents = [document for name in listed for document in yaml.safe_load_all((folder / name).read_text())]
    return {document["kind"]: document for document in documents}


def test_the_manifests_hang_together() -> None:
    found = manifests()
    assert found.keys() == {"PersistentVolumeClaim", "Deployment", "Service", "ConfigMap", "CronJob"}
    server = found["Deployment"]["spec"]["template"]
    night = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    assert found["Service"]["spec"]["selector"] == found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert server["metadata"]["labels"] == found["Deployment"]["spec"]["selector"]["matchLabels"]
    claim = found["PersistentVolumeClaim"]["metadata"]["name"]
    for pod in (server, night):
        (container,) = pod["spec"]["containers"]
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim
        names = {entry["name"] for entry in container["env"]}
        assert {name for name in names if name.startswith("FOOTNOTE_")} <= SETTINGS
        assert parses(container["command"]) in {"serve", "eval run"}


def test_the_nightly_job_runs_once_with_a_gate_that_can_be_read(tmp_path: Path) -> None:
    found = manifests()
    job = found["CronJob"]["spec"]
    assert (job["schedule"], job["concurrencyPolicy"]) == ("17 3 * * *", "Forbid")
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    spec = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (gate,) = [volume for volume in spec["volumes"] if volume["name"] == "gate"]
    assert gate["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    (folder,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "gate"]
    (name, text), *_ = found["ConfigMap"]["data"].items()
    assert f"{folder}/{name}" in container["command"]
    (tmp_path / name).write_text(text)
    assert {rule.metric for rule in read_gate(tmp_path / name).rules} >= {"recall@10", "false_answer_rate"}


def test_units_and_cron_set_only_settings_that_exist() -> None:
    files = [*(DEPLOY / "systemd").glob("*.service"), *(DEPLOY / "cron").iterdir()]
    text = " ".join(file.read_text() for file in files).replace("Environment=", " ")
    named = {word.split("=")[0] for word in text.split() if word.startswith("FOOTNOTE_")}
    assert "FOOTNOTE_DATA_DIR" in named
    assert named <= SETTINGS


def test_the_sample_companys_gate_can_be_read() -> None:
    file = Path(__file__).parents[2] / "evals" / "data" / "gate.toml"
    gate = read_gate(file)
    assert gate.decide_by == tomllib.loads(file.read_text())["decide_by"]
    bounds = {rule.metric: (rule.min, rule.max, rule.max_drop) for rule in gate.rules}
    assert bounds["recall@10"] == (0.91, None, 0.03)
    assert bounds["false_answer_rate"] == (None, 0.18, 0.05)
