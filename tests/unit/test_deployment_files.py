"""The files that operators read must say what the code says."""

import re
from pathlib import Path

import msgspec
import yaml

from deploy.local.procfile import RELEASE, read_procfile
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
COMPOSE_SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}


def test_compose_runs_every_process_of_the_procfile_with_its_command():
    procfile = {name: argv[1:] for name, argv in read_procfile().items()}

    services = {
        name: COMPOSE["services"][name] for name in COMPOSE["services"].keys() - {"postgres", "redis"}
    }

    assert {name: service["command"][1:] for name, service in services.items()} == procfile


def test_compose_starts_no_process_before_the_tables_are_there():
    processes = read_procfile().keys() - {RELEASE}

    waits_for = {name: COMPOSE["services"][name]["depends_on"] for name in processes}

    assert all(w["release"]["condition"] == "service_completed_successfully" for w in waits_for.values())


def test_compose_refuses_to_start_without_its_secrets():
    text = (ROOT / "docker-compose.yml").read_text()

    optional = [name for name in (*COMPOSE_SECRETS, "SECRET_KEY") if re.search(rf"\${{{name}(?!:\?)", text)]

    assert optional == []


def test_the_example_of_the_environment_names_every_setting_and_no_other():
    named = set(examples())

    assert named == {field.upper() for field in Settings.__struct_fields__} | COMPOSE_SECRETS


def test_the_example_of_the_environment_shows_the_defaults():
    shown = {name: value for name, value in examples().items() if value}

    taken = Settings.from_env({**shown, "SECRET_KEY": "x" * 32})

    for field in msgspec.structs.fields(Settings):
        if field.default is not msgspec.NODEFAULT and field.default != "":
            assert getattr(taken, field.name) == field.default, field.name
            assert field.name.upper() in shown


def examples() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"(?:# )?([A-Z_]+)=(.*)", line)))
