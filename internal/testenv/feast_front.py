"""Feast's own feature server, over Redis, for tests: what `feast serve` runs, with one more path by which a test applies and
deletes feature views without a process of its own for each.

    feast_front.py --dir DIR --port N --redis HOST:PORT

POST /apply {"view": name, "key": [name, type], "features": {name: type}} makes or replaces a feature view and its push source, POST
/delete {"view": name} removes the view and what the online store holds of it, POST /forget the view alone.
"""
import argparse
import os
import threading

os.environ["FEAST_USAGE"] = "False"

import uvicorn  # noqa: E402
from fastapi import Request  # noqa: E402
from fastapi.concurrency import run_in_threadpool  # noqa: E402
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType  # noqa: E402
from feast.feature_server import get_app  # noqa: E402
from feast.types import Array, Bool, Float32, Float64, Int64, String  # noqa: E402

TYPES = {"String": String, "Int64": Int64, "Float64": Float64, "Bool": Bool, "Array(Float32)": Array(Float32)}

parser = argparse.ArgumentParser()
parser.add_argument("--dir", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--redis", required=True)
arguments = parser.parse_args()

store = FeatureStore(
    config=RepoConfig(
        project="freshet",
        provider="local",
        registry=os.path.join(arguments.dir, "registry.db"),
        online_store={"type": "redis", "connection_string": arguments.redis},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
        repo_path=arguments.dir,
    )
)
one = threading.Lock()
app = get_app(store, registry_ttl_sec=0)


def view(asked):
    name, (key, kind) = asked["view"], asked["key"]
    of = ValueType.INT64 if kind == "Int64" else ValueType.STRING
    entity = Entity(name="key of " + name, join_keys=[key], value_type=of)
    file = FileSource(name="file of " + name, path="none.parquet", timestamp_field="event_timestamp")
    schema = [Field(name=key, dtype=TYPES[kind])] + [Field(name=f, dtype=TYPES[t]) for f, t in asked["features"].items()]
    return [entity, FeatureView(name=name, entities=[entity], schema=schema, source=PushSource(name=name, batch_source=file), ttl=None)]


def alter(asked, change):
    with one:
        change(asked)
        store.refresh_registry()


def delete(asked):
    held = store.get_feature_view(asked["view"])
    store.apply([], objects_to_delete=[held], partial=False)


@app.post("/test/apply")
async def apply(request: Request):
    await run_in_threadpool(alter, await request.json(), lambda asked: store.apply(view(asked)))


@app.post("/test/delete")
async def remove(request: Request):
    await run_in_threadpool(alter, await request.json(), delete)


@app.post("/test/forget")
async def forget(request: Request):
    await run_in_threadpool(alter, await request.json(), lambda asked: store.delete_feature_view(asked["view"]))


uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")
