"""Serves fakesnow on loopback for tests, with what its stock server lacks for them (docs/targets/snowflake.md lists it).

Nothing of fakesnow is copied: functions of its modules are replaced or wrapped while it starts.
"""

import argparse
import collections
import functools
import gzip
import json
import time
from string import Template

import duckdb
import fakesnow.cursor as cursor
import fakesnow.info_schema as info_schema
import fakesnow.server as server
import fakesnow.transforms as transforms
import jwt
import uvicorn
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from starlette.responses import JSONResponse


def keep_no_notes() -> None:
    """Comments and lengths of columns lie in a second database, and DuckDB lets a transaction write one: none are kept."""
    info_schema.insert_table_comment_sql = info_schema.insert_text_lengths_sql = lambda *_: "SELECT 1"


def quoted_names() -> None:
    """What fakesnow says of a table that was made or dropped is SQL, in which names with an apostrophe need another."""

    class Quoting(Template):
        def substitute(self, **names):
            return super().substitute({k: str(v).replace("'", "''") for k, v in names.items()})

    for answer in ("SQL_CREATED_TABLE", "SQL_CREATED_SCHEMA", "SQL_DROPPED"):
        setattr(cursor, answer, Quoting(getattr(cursor, answer).template))


def merge_from_queries() -> None:
    """A MERGE from a query reads it through a temporary table: fakesnow rewrites MERGE as text, where it loses FLATTEN."""
    stock = transforms.merge

    def merge(e):
        source = e.args.get("using") if isinstance(e, exp.Merge) else None
        if not isinstance(source, exp.Subquery):
            return stock(e)
        name = source.args["alias"].this
        temporary = exp.Properties(expressions=[exp.TemporaryProperty()])
        made = exp.Create(this=exp.Table(this=name.copy()), kind="TABLE", replace=True, expression=source.this.copy(), properties=temporary)
        e = e.copy()
        e.set("using", exp.Table(this=name.copy()))
        return [made, *stock(e)]

    transforms.merge = merge


class Idleness:
    """Ends sessions that leave a transaction open for so many seconds while others wait for its locks, as Snowflake does after five minutes."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.asking: collections.Counter[str] = collections.Counter()
        self.asked: dict[str, float] = {}
        stock, stock_to_conn = server.query_request, server.to_conn

        async def query_request(request):
            token = request.headers.get("Authorization", "")[17:-1]
            self.asking[token] += 1
            try:
                return await stock(request)
            finally:
                self.asking[token] -= 1
                self.asked[token] = time.monotonic()

        def to_conn(token):
            if token and token not in server.sessions:
                raise server.ServerError(status_code=200, code="390111", message="Session no longer exists. New login required to access the service.")
            return stock_to_conn(token)

        server.to_conn = to_conn
        replace_route("/queries/v1/query-request", query_request)

    def end_idle(self) -> None:
        now = time.monotonic()
        for token, session in list(server.sessions.items()):
            if self.asking[token] or now - self.asked.get(token, now) < self.limit:
                continue
            try:
                session._duck_conn.rollback()
            except duckdb.TransactionException:
                continue  # it has no transaction
            server.sessions.pop(token, None)


def lock_conflicts(idleness: Idleness) -> None:
    """Where Snowflake waits for a lock and then gives up, DuckDB refuses at once: both are Snowflake's error 625."""
    stock = cursor.FakeSnowflakeCursor.execute

    def execute(self, *args, **kwargs):
        try:
            return stock(self, *args, **kwargs)
        except duckdb.TransactionException as e:
            idleness.end_idle()
            raise ProgrammingError(msg=f"Statement could not lock table: {e}", errno=625, sqlstate="57014") from e

    cursor.FakeSnowflakeCursor.execute = execute


def remember_statements() -> None:
    """fakesnow translates each statement anew, which takes most of its time: here it does so once for each text."""
    stock = cursor.FakeSnowflakeCursor.execute
    stock_transform = cursor.FakeSnowflakeCursor._transform
    kept = (exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Transaction, exp.Commit, exp.Rollback)
    translated: dict[str, list] = {}

    def written(statement):
        text = statement.sql(dialect="duckdb")
        statement.sql = lambda dialect: text
        return statement

    def transform(self, *args):
        statement = stock_transform(self, *args)
        self._translated.append(statement)
        return statement

    def execute(self, command, *args, **kwargs):
        if command not in translated:
            self._translated = []
            stock(self, command, *args, **kwargs)
            if isinstance(self._translated[-1], kept):
                translated[command] = [(written(s), s.find(exp.Placeholder) is not None) for s in self._translated]
            return self
        params = list(kwargs.get("binding_params") or [])
        for statement, takes_params in translated[command]:
            self._execute(statement, params if takes_params else None)
        return self

    def describe(self):
        return self._duck_conn.execute("DESCRIBE " + self._last_sql, self._last_params).fetchall()

    cursor.FakeSnowflakeCursor._transform = transform
    cursor.FakeSnowflakeCursor.execute = execute
    cursor.FakeSnowflakeCursor._describe_last_sql = describe
    server.parse_one = functools.lru_cache(maxsize=4096)(server.parse_one)


def sessions_have_a_database(name: str) -> None:
    """fakesnow makes temporary tables in a session's database only, and our sessions name none."""
    stock = FakeSnow.connect

    def connect(self, database=None, schema=None, **kwargs):
        return stock(self, database or name, schema or "SESSIONS", **kwargs)

    FakeSnow.connect = connect


def check_logins(passwords: str, public_key: str) -> None:
    """Lets in whoever knows the password, or signs with the private key; both files are read at each login."""
    stock = server.login_request

    async def login_request(request):
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        data = json.loads(body)["data"]
        if not (signed(data, public_key) if data.get("AUTHENTICATOR") == "SNOWFLAKE_JWT" else knows(data, passwords)):
            return JSONResponse({"data": {}, "code": "390100", "message": "Incorrect username or password was specified.", "success": False})
        return await stock(request)

    replace_route("/session/v1/login-request", login_request)


def replace_route(path: str, endpoint) -> None:
    at, route = next((i, r) for i, r in enumerate(server.app.router.routes) if r.path == path)
    server.app.router.routes[at] = type(route)(path, endpoint, methods=["POST"])


def knows(data, passwords: str) -> bool:
    if not passwords:
        return True
    with open(passwords) as f:
        return data.get("PASSWORD") == f.read().strip()


def signed(data, public_key: str) -> bool:
    try:
        with open(public_key) as f:
            jwt.decode(data["TOKEN"], f.read(), algorithms=["RS256"])
    except (OSError, jwt.PyJWTError):
        return False
    return True


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--data", help="directory for its databases; without it they lie in memory")
    p.add_argument("--database", required=True, help="that is there from the start")
    p.add_argument("--idle-limit", type=float, default=300, help="seconds for which an idle transaction may hold up others")
    p.add_argument("--password-file", default="")
    p.add_argument("--public-key-file", default="")
    p.add_argument("--tls-cert")
    p.add_argument("--tls-key")
    a = p.parse_args()
    keep_no_notes()
    quoted_names()
    merge_from_queries()
    remember_statements()
    lock_conflicts(Idleness(a.idle_limit))
    sessions_have_a_database(a.database)
    check_logins(a.password_file, a.public_key_file)
    if a.data:
        server.shared_fs = FakeSnow(db_path=a.data)
    server.shared_fs.connect()
    server.shared_fs.duck_conn.execute("SET threads = 1")  # statements are small, and many at once
    uvicorn.run(server.app, host="127.0.0.1", port=a.port, ssl_certfile=a.tls_cert, ssl_keyfile=a.tls_key, log_level="warning")


if __name__ == "__main__":
    main()
