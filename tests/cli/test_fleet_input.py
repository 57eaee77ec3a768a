"""What is wrong with a shared study's input: one message, no credentials, nothing written over."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests import small_study
from tests.cli.conftest import Command
from tests.cli.fleet import Study, make_study
from tests.cli.test_bad_input import assert_no_study_in, problems
from tests.conftest import Files
from tests.databases import ENCODED
from tests.postgres import PASSWORD, Server


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
    small: Files,
    server: Server,
    lent: Callable[[], Any],
) -> Study:
    """A study that a worker has ended; only to be looked at."""
    from amp_tuner.cli.main import main

    made = make_study(tmp_path_factory.mktemp("shared"), small, server, "ended", trials=3)
    with pytest.MonkeyPatch.context() as patch, lent():
        patch.setenv("PGPASSWORD", PASSWORD)
        assert main(["worker", "--config", str(made.path), "--output", str(made.worker("a"))]) == 0
    return made


@pytest.fixture
def write(small: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the file of a study in a database; the password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    def study_file(storage: str, **changes: Any) -> Path:
        plain = small_study.study(small.model, small.data, storage=storage, **changes)
        return small_study.write_study(tmp_path, plain)

    return study_file


def refused(command: Command, path: Path, *, verb: str = "run") -> str:
    """The one problem of a command that is refused and leaves nothing."""
    ended = command(verb, "--config", path)
    assert ended.code == 2
    assert PASSWORD not in ended.err + ended.out
    assert ENCODED not in ended.err + ended.out
    (problem,) = problems(ended.err)
    assert_no_study_in(path.parent / "run")
    return problem


def test_a_worker_needs_a_database(amp_tune: Command, write: Any, small: Files) -> None:
    path = small_study.write_study(
        write("env:X").parent, small_study.study(small.model, small.data)
    )
    assert "$.storage: found nothing (null)" in refused(amp_tune, path, verb="worker")


def test_a_worker_needs_a_folder_of_its_own(amp_tune: Command, write: Any, server: Server) -> None:
    path = write(server.address("postgres"))
    ended = amp_tune("worker", "--config", path, "--output", path.parent / "run")
    assert ended.code == 2
    assert "a worker needs one of its own" in ended.err


def test_a_variable_that_is_not_set(amp_tune: Command, write: Any) -> None:
    assert "environment variable NOWHERE" in refused(amp_tune, write("env:NOWHERE"))


@pytest.mark.parametrize("address", ["sqlite:///x.db", "postgresql://a:b@h:x/d", "no address"])
def test_a_variable_that_holds_no_address(
    amp_tune: Command, write: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("TUNING", address)
    problem = refused(amp_tune, write("env:TUNING"))
    assert problem.startswith("$.storage: environment variable TUNING: not")
    assert address not in problem


def test_a_driver_that_is_not_installed(
    amp_tune: Command, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.import_module

    def missing(name: str, *others: Any) -> Any:
        if name == "pymysql":
            raise ModuleNotFoundError(name)
        return found(name, *others)

    monkeypatch.setattr(importlib, "import_module", missing)
    problem = refused(amp_tune, write("mysql://tuner@db/tuning"))
    assert problem.endswith("not installed: pip install 'amp-tuner[mysql]'")


def test_a_server_that_is_not_there(amp_tune: Command, write: Any) -> None:
    problem = refused(amp_tune, write("postgresql://tuner@127.0.0.1:1/tuning"))
    assert "cannot use the postgresql database tuning on 127.0.0.1:1" in problem
    assert "refused" in problem


def test_a_database_that_does_not_exist(amp_tune: Command, write: Any, server: Server) -> None:
    assert 'database "nowhere" does not exist' in refused(
        amp_tune, write(server.address("nowhere"))
    )


def test_a_wrong_password(
    amp_tune: Command, write: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = server.address("postgres").replace("tuner@", "tuner:wr%2Fong@")
    monkeypatch.setenv("TUNING", wrong)
    problem = refused(amp_tune, write("env:TUNING"))
    assert "password authentication failed" in problem
    assert "PGPASSFILE" in problem
    assert "ong" not in problem.replace("wrong", "")
    assert "wr" not in problem


def test_a_password_in_the_study_file(amp_tune: Command, write: Any, server: Server) -> None:
    path = write(server.address("postgres").replace("tuner@", f"tuner:{ENCODED}@"))
    assert "an address with a password is refused" in refused(amp_tune, path)


def test_no_right_to_make_tables(amp_tune: Command, write: Any, server: Server) -> None:
    server.execute("CREATE DATABASE closed")
    server.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    problem = refused(amp_tune, write(server.address("closed", "reader")))
    assert "permission denied for schema public" in problem


def test_tables_of_a_newer_version(amp_tune: Command, write: Any, server: Server) -> None:
    server.execute("CREATE DATABASE newer")
    server.execute("CREATE TABLE amp_tuner_format (format INTEGER PRIMARY KEY)", "newer")
    server.execute("INSERT INTO amp_tuner_format VALUES (7)", "newer")
    problem = refused(amp_tune, write(server.address("newer")))
    assert "set up by a newer amp-tune (its tables have format 7" in problem
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert server.execute(tables, "newer") == [(1,)]


def test_tables_of_another_optuna(
    quick: Command, write: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute("CREATE DATABASE optuna_newer")
    _optuna_storage(server, "optuna_newer")
    server.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'", "optuna_newer")
    problem = refused(quick, write(server.address("optuna_newer")))
    assert "was set up by another version of Optuna" in problem
    assert "v9" in problem or "no longer compatible" in problem


def test_an_optuna_study_of_that_name_which_is_none_of_ours(
    quick: Command, write: Any, server: Server
) -> None:
    server.execute("CREATE DATABASE strangers")
    optuna.create_study(storage=_optuna_storage(server, "strangers"), study_name="small")
    problem = refused(quick, write(server.address("strangers")))
    assert problem.startswith("$.name: ")
    assert "an Optuna study small that amp-tune did not write" in problem


def test_another_study_of_that_name(
    quick: Command, shared: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    before = shared.rows("SELECT * FROM amp_tuner_studies")
    text = shared.path.read_text().replace("batch_size: 64", "batch_size: 32")
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("goal: 90%", "goal: 80%"))
    (tmp_path / "t4.yaml").write_bytes(shared.path.with_name("t4.yaml").read_bytes())
    ended = quick("--config", path)
    assert ended.code == 2
    told = problems(ended.err)
    assert [problem.split(": ")[0] for problem in told] == [
        "$.accuracy.goal",
        "$.data.batch_size",
        "$.storage",
    ]
    assert "has 64, this one 32" in told[1]
    assert "holds another study called small" in told[2]
    assert_no_study_in(tmp_path / "run")
    assert shared.rows("SELECT * FROM amp_tuner_studies") == before


def test_a_machine_that_is_not_like_the_first(
    quick: Command, shared: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ((facts,),) = shared.rows("SELECT facts FROM amp_tuner_studies")
    other = json.loads(facts)
    other["software"]["tensorflow"] = "2.15.1"
    other["hardware"]["cpu"] = "a CPU that nobody has"
    other["hardware"]["usable_threads"] = 64
    other["hardware"]["governor"] = "unheard of"
    change = "UPDATE amp_tuner_studies SET facts = '{}'"
    shared.rows(change.format(json.dumps(other).replace("'", "''")))
    ended = quick("worker", "--config", shared.path, "--output", shared.worker("b"))
    shared.rows(change.format(facts.replace("'", "''")))
    assert ended.code == 2
    told = problems(ended.err)
    assert [problem.split(":")[0] for problem in told] == [
        "$.target.fleet.same (device)",
        "$.target.fleet.same (software)",
        "$.target.fleet.same (threads)",
        "$.target.fleet",
    ]
    assert "tensorflow: '2.15.1' on the study's first machine" in told[1]
    assert not (shared.worker("b") / "baseline.json").exists()


def test_fresh_does_not_touch_what_others_work_on(
    quick: Command, shared: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = quick("run", "--config", shared.path, "--fresh")
    assert ended.code == 2
    assert "give the study another name" in ended.err


def test_the_dashboard_is_optunas_own(quick: Command, shared: Study) -> None:
    ended = quick("dashboard", shared.worker("a"))
    assert ended.code == 2
    assert "a study that is in a database, which optuna-dashboard can show" in ended.err


def test_no_credential_is_written_anywhere(
    quick: Command, write: Any, server: Server, monkeypatch: pytest.MonkeyPatch, shared: Study
) -> None:
    server.execute("CREATE DATABASE secret")
    monkeypatch.delenv("PGPASSWORD")
    with_password = server.address("secret").replace("tuner@", f"tuner:{ENCODED}@")
    monkeypatch.setenv("TUNING", with_password)
    plain = shared.path.read_text().replace(server.address("ended"), "env:TUNING")
    path = write("env:TUNING")
    path.write_text(plain)
    (path.parent / "t4.yaml").write_bytes(shared.path.with_name("t4.yaml").read_bytes())
    ended = quick("run", "--config", path)
    assert ended.code in (0, 1)
    written = [file.read_bytes() for file in path.parent.rglob("*") if file.is_file()]
    assert any(b"env:TUNING" in content for content in written)
    for secret in (PASSWORD.encode(), ENCODED.encode()):
        assert secret not in (ended.out + ended.err).encode()
        assert not any(secret in content for content in written)


def _optuna_storage(server: Server, database: str) -> optuna.storages.RDBStorage:
    address = server.address(database).replace("tuner@", f"tuner:{ENCODED}@")
    return optuna.storages.RDBStorage(address.replace("://", "+psycopg://", 1))
