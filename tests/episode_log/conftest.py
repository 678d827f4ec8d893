"""Every test that takes `log` runs on SQLite and, where a server can be reached, on PostgreSQL."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from dialog_rl.episode_log.log import EpisodeLog

SERVER = os.environ.get("DIALOG_RL_TEST_POSTGRES", "postgresql+psycopg://127.0.0.1:5432/test")

Opener = Callable[[], EpisodeLog]


@cache
def why_no_server() -> str:
    try:
        engine = create_engine(SERVER, connect_args={"connect_timeout": 3})
        with engine.connect():
            pass
        engine.dispose()
    except (ImportError, SQLAlchemyError) as e:
        return f"no PostgreSQL server at {make_url(SERVER).render_as_string()}: {type(e).__name__}"
    return ""


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty schema of its own, dropped at the end."""
    if why_no_server():
        pytest.skip(why_no_server())
    name = f"dialog_rl_{uuid.uuid4().hex[:12]}"
    engine = create_engine(SERVER)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    options = {"options": f"-csearch_path={name}", "application_name": name}
    yield make_url(SERVER).update_query_dict(options).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same log as often as it is called."""
    where = tmp_path / "log.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")
    opened: list[EpisodeLog] = []

    def open_it() -> EpisodeLog:
        opened.append(EpisodeLog.open(where))
        return opened[-1]

    yield open_it
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Opener) -> EpisodeLog:
    return open_log()
