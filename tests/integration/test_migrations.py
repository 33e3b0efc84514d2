"""The migrations make exactly the tables that the code describes, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from infra.database import Database, alembic_config, migrate, open_database
from infra.errors import Unavailable
from infra.tables import Base


def test_migrations_equal_the_metadata(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_all_tables_are_there(database: Database) -> None:
    assert set(inspect(database.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate(database)
    with database.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0006"


def test_downgrade_removes_everything(database: Database) -> None:
    with database.write() as session:
        command.downgrade(alembic_config(session.connection()), "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_database(url), range(4)))
    assert "documents" in inspect(opened[0].engine).get_table_names()
    for database in opened:
        database.close()


def test_processes_that_start_at_once_on_postgresql(postgres: Callable[[bool], str]) -> None:
    url = postgres(False)
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_database(url), range(4)))
    assert "documents" in inspect(opened[0].engine).get_table_names()
    for database in opened:
        database.close()


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        open_database("postgresql+psycopg://me:hunter2@127.0.0.1:1/none")
    assert caught.value.code == "database_unavailable"
    assert "127.0.0.1:1" in caught.value.detail
    assert "hunter2" not in caught.value.detail
