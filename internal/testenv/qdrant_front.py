"""Qdrant's own engine behind a small gRPC front, for tests: what Freshet's sink and its tests ask, spoken as a server
speaks it, over the stubs of Qdrant's Python client. It is no Qdrant server: one node, no users, no background optimiser.

An update is in the engine's write-ahead log before its answer is given. Whatever the front does not know is refused.

    qdrant_front.py --data DIR --port N --version V [--api-key-file F] [--tls-cert F --tls-key F]

In DIR/hold a test names the collection of which the next upsert is to be held up. Then DIR/held says, by the port that its client
has, whose it is; the upsert is done when that file is gone.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import shutil
import sys
import threading
import time
import types

# The client package itself would load its whole HTTP side; only its stubs are wanted.
for place in sys.path:
    if os.path.isdir(os.path.join(place, "qdrant_client", "grpc")):
        client = types.ModuleType("qdrant_client")
        client.__path__ = [os.path.join(place, "qdrant_client")]
        stubs = types.ModuleType("qdrant_client.grpc")
        stubs.__path__ = [os.path.join(place, "qdrant_client", "grpc")]
        sys.modules["qdrant_client"], sys.modules["qdrant_client.grpc"] = client, stubs
        break

import grpc  # noqa: E402
import qdrant_edge as edge  # noqa: E402
from qdrant_client.grpc import collections_pb2 as col  # noqa: E402
from qdrant_client.grpc import collections_service_pb2_grpc as col_service  # noqa: E402
from qdrant_client.grpc import json_with_int_pb2 as json_pb  # noqa: E402
from qdrant_client.grpc import points_pb2 as pts  # noqa: E402
from qdrant_client.grpc import points_service_pb2_grpc as pts_service  # noqa: E402
from qdrant_client.grpc import qdrant_common_pb2 as common  # noqa: E402
from qdrant_client.grpc import qdrant_pb2 as health  # noqa: E402
from qdrant_client.grpc import qdrant_pb2_grpc as health_service  # noqa: E402

MAX_REQUEST = 32 << 20  # a server's default
FORBIDDEN = set('<>:"/\\|?*\0\x1f')  # in names of collections
NO_VECTOR = "-"  # the engine wants one named vector at least; a server does not


class Refusal(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


def invalid(text):
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)


caller = threading.local()


def answered(method):
    """Turns what goes wrong into a status."""

    def wrapped(self, request, context):
        try:
            caller.peer = context.peer()
            return method(self, request)
        except Refusal as r:
            context.abort(r.code, r.text)
        except Exception as e:  # the engine's own faults have no classes
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "engine: %s" % e)

    return wrapped


# Values of a payload.


def plain(value):
    kind = value.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    if kind == "struct_value":
        return {k: plain(v) for k, v in value.struct_value.fields.items()}
    if kind == "list_value":
        return [plain(v) for v in value.list_value.values]
    return getattr(value, kind)


def fill(value, x):
    if x is None:
        value.null_value = json_pb.NULL_VALUE
    elif isinstance(x, bool):
        value.bool_value = x
    elif isinstance(x, int):
        value.integer_value = x
    elif isinstance(x, float):
        value.double_value = x
    elif isinstance(x, str):
        value.string_value = x
    elif isinstance(x, dict):
        value.struct_value.SetInParent()
        for k, v in x.items():
            fill(value.struct_value.fields[k], v)
    else:
        value.list_value.SetInParent()
        for v in x:
            fill(value.list_value.values.add(), v)


def payload(fields):
    return {k: plain(v) for k, v in fields.items()}


def point_id(p):
    return p.uuid if p.WhichOneof("point_id_options") == "uuid" else p.num


def id_of(p):
    return common.PointId(num=p) if isinstance(p, int) else common.PointId(uuid=str(p))


# Vectors.


def vector(v):
    kind = v.WhichOneof("variant" if isinstance(v, pts.VectorInput) else "vector")
    if kind == "dense":
        return list(v.dense.data)
    if kind == "sparse":
        return edge.SparseVector(list(v.sparse.indices), list(v.sparse.values))
    if kind == "multi_dense":
        return [list(d.data) for d in v.multi_dense.vectors]
    raise invalid("the front does not know vectors of kind %s" % kind)


def fill_vector(out, x):
    if isinstance(x, edge.SparseVector):
        out.sparse.indices.extend(x.indices)
        out.sparse.values.extend(x.values)
    elif x and isinstance(x[0], (list, tuple)):
        for row in x:
            out.multi_dense.vectors.add().data.extend(row)
    else:
        out.dense.data.extend(x)


def named(vectors):
    if vectors.WhichOneof("vectors_options") == "vector":
        raise invalid("Not existing vector name error: ")
    return {name: vector(v) for name, v in vectors.vectors.vectors.items()}


# Filters.


def match(m):
    kind = m.WhichOneof("match_value")
    if kind in ("keyword", "integer"):  # no booleans: the package takes them for integers, and finds nothing
        return edge.MatchValue(getattr(m, kind))
    if kind == "keywords":
        return edge.MatchAny(list(m.keywords.strings))
    if kind == "integers":
        return edge.MatchAny(list(m.integers.integers))
    raise invalid("the front does not match by %s" % kind)


def field(f):
    if f.HasField("match"):
        return edge.FieldCondition(f.key, match=match(f.match))
    if f.HasField("range"):
        bounds = {b: getattr(f.range, b) for b in ("lt", "gt", "gte", "lte") if f.range.HasField(b)}
        return edge.FieldCondition(f.key, range=edge.RangeFloat(**bounds))
    raise invalid("the front does not know this condition on %s" % f.key)


def condition(c):
    kind = c.WhichOneof("condition_one_of")
    if kind == "field":
        return field(c.field)
    if kind == "is_empty":
        return edge.IsEmptyCondition(c.is_empty.key)
    if kind == "has_id":
        return edge.HasIdCondition({point_id(p) for p in c.has_id.has_id})
    if kind == "filter":
        return filtered(c.filter)
    raise invalid("the front does not know conditions of kind %s" % kind)


def filtered(f):
    if f.HasField("min_should"):
        raise invalid("the front does not know min_should")
    return edge.Filter(
        must=[condition(c) for c in f.must] or None,
        should=[condition(c) for c in f.should] or None,
        must_not=[condition(c) for c in f.must_not] or None,
    )


def wanted_payload(s):
    kind = s.WhichOneof("selector_options")
    if kind == "include":
        return list(s.include.fields) or False
    if kind == "exclude":
        raise invalid("the front does not exclude fields")
    return s.enable


def wanted_vectors(s):
    if s.WhichOneof("selector_options") == "include":
        return list(s.include.names) or False
    return s.enable


# Collections.

DISTANCES = {
    col.Cosine: edge.Distance.Cosine,
    col.Dot: edge.Distance.Dot,
    col.Euclid: edge.Distance.Euclid,
    col.Manhattan: edge.Distance.Manhattan,
}
DATATYPES = {
    col.Float32: edge.VectorStorageDatatype.Float32,
    col.Float16: edge.VectorStorageDatatype.Float16,
    col.Uint8: edge.VectorStorageDatatype.Uint8,
}
INDEXES = {
    pts.FieldTypeKeyword: (edge.PayloadSchemaType.Keyword, col.Keyword),
    pts.FieldTypeInteger: (edge.PayloadSchemaType.Integer, col.Integer),
    pts.FieldTypeFloat: (edge.PayloadSchemaType.Float, col.Float),
    pts.FieldTypeBool: (edge.PayloadSchemaType.Bool, col.Bool),
    pts.FieldTypeDatetime: (edge.PayloadSchemaType.Datetime, col.Datetime),
}


def quantization(q):
    kind = q.WhichOneof("quantization")
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
    if kind == "binary":
        return edge.BinaryQuantizationConfig()
    raise invalid("the front does not know quantization %s" % kind)


def hnsw(diff):
    if diff.full_scan_threshold or diff.payload_m:
        raise invalid("the front does not know these settings of HNSW")
    return edge.HnswIndexConfig(diff.m or 16, diff.ef_construct or 100, 10_000)


def vector_params(p):
    more = {}
    if p.HasField("datatype") and p.datatype != col.Default:
        more["datatype"] = DATATYPES[p.datatype]
    if p.HasField("multivector_config"):
        more["multivector_config"] = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    if p.HasField("quantization_config"):
        more["quantization_config"] = quantization(p.quantization_config)
    if p.HasField("hnsw_config"):
        more["hnsw_config"] = hnsw(p.hnsw_config)
    return edge.EdgeVectorParams(size=p.size, distance=DISTANCES[p.distance], **more)


def engine_config(request):
    if request.vectors_config.WhichOneof("config") == "params":
        raise invalid("the front knows named vectors only")
    dense = {n: vector_params(p) for n, p in request.vectors_config.params_map.map.items()}
    sparse = {n: edge.EdgeSparseVectorParams() for n in request.sparse_vectors_config.map}
    if not dense and not sparse:
        sparse = {NO_VECTOR: edge.EdgeSparseVectorParams()}
    more = {}
    if request.HasField("quantization_config"):
        more["quantization_config"] = quantization(request.quantization_config)
    if request.HasField("hnsw_config"):
        more["hnsw_config"] = hnsw(request.hnsw_config)
    return edge.EdgeConfig(vectors=dense or None, sparse_vectors=sparse or None, max_search_threads=1, **more)


class Collection:
    """A directory: what it was created from, then the engine's own files."""

    def __init__(self, place, request=None):
        self.place, self.lock = place, threading.Lock()
        described, data = os.path.join(place, "created"), os.path.join(place, "shard")
        if request is None:
            with open(described, "rb") as f:
                self.request = col.CreateCollection.FromString(f.read())
            self.shard = edge.EdgeShard.load(data)
            return
        self.request, config = request, engine_config(request)
        os.makedirs(place)
        self.shard = edge.EdgeShard.create(data, config)
        with open(described + ".new", "wb") as f:
            f.write(request.SerializeToString())
            f.flush()
            os.fsync(f.fileno())
        os.rename(described + ".new", described)

    def update(self, operation):
        with self.lock:
            self.shard.update(operation)

    def info(self):
        with self.lock:
            info = self.shard.info()
        out = col.CollectionInfo(status=col.Green, points_count=info.points_count, segments_count=info.segments_count)
        params = out.config.params
        params.shard_number, params.on_disk_payload = 1, True
        if self.request.HasField("vectors_config"):
            params.vectors_config.CopyFrom(self.request.vectors_config)
        if self.request.HasField("sparse_vectors_config"):
            params.sparse_vectors_config.CopyFrom(self.request.sparse_vectors_config)
        kinds = {str(mine): theirs for mine, theirs in INDEXES.values()}
        for name, index in info.payload_schema.items():
            out.payload_schema[name].data_type = kinds[str(index.data_type)]
        return out


class Front(col_service.CollectionsServicer, pts_service.PointsServicer, health_service.QdrantServicer):
    def __init__(self, data, version):
        self.data, self.version, self.lock, self.all = data, version, threading.Lock(), {}
        self.aliases, self.aliases_file = {}, os.path.join(data, "aliases")  # by alias: its collection
        os.makedirs(data, exist_ok=True)
        if os.path.exists(self.aliases_file):
            with open(self.aliases_file) as f:
                self.aliases = json.load(f)
        for name in os.listdir(data):
            place = os.path.join(data, name)
            if place == self.aliases_file:
                continue
            if not os.path.isdir(place):
                os.unlink(place)
            elif os.path.exists(os.path.join(place, "created")):
                c = Collection(place)
                self.all[c.request.collection_name] = c
            else:
                shutil.rmtree(place)  # its creation was never answered

    def find(self, name):
        with self.lock:
            c = self.all.get(self.aliases.get(name, name))
        if c is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Not found: Collection `%s` doesn't exist!" % name)
        return c

    @answered
    def HealthCheck(self, request):
        return health.HealthCheckReply(title="Qdrant engine behind a test front", version=self.version)

    @answered
    def Create(self, request):
        name = request.collection_name
        if not 1 <= len(name.encode()) <= 255 or FORBIDDEN & set(name):
            raise invalid("Validation error in body: collection name %r" % name)
        with self.lock:
            if name in self.all or name in self.aliases:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "Wrong input: Collection `%s` already exists!" % name)
            place = os.path.join(self.data, hashlib.sha256(name.encode()).hexdigest()[:32])
            shutil.rmtree(place, ignore_errors=True)
            try:
                self.all[name] = Collection(place, request)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
        return col.CollectionOperationResponse(result=True)

    @answered
    def Delete(self, request):
        if isinstance(request, pts.DeletePoints):
            return self.delete_points(request)
        with self.lock:
            c = self.all.pop(request.collection_name, None)
            if c is not None:
                self.keep_aliases({a: n for a, n in self.aliases.items() if n != request.collection_name})
                with c.lock:
                    os.unlink(os.path.join(c.place, "created"))
                    c.shard.close()
                    shutil.rmtree(c.place)
        return col.CollectionOperationResponse(result=c is not None)

    def keep_aliases(self, aliases):
        with open(self.aliases_file + "~", "w") as f:
            json.dump(aliases, f)
        os.replace(self.aliases_file + "~", self.aliases_file)
        self.aliases = aliases

    @answered
    def UpdateAliases(self, request):
        with self.lock:
            aliases = dict(self.aliases)
            for action in request.actions:
                kind = action.WhichOneof("action")
                if kind == "delete_alias":
                    aliases.pop(action.delete_alias.alias_name, None)
                elif kind == "create_alias":
                    name, collection = action.create_alias.alias_name, action.create_alias.collection_name
                    if name in self.all:
                        raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "Wrong input: Collection `%s` already exists!" % name)
                    if collection not in self.all:
                        raise Refusal(grpc.StatusCode.NOT_FOUND, "Not found: Collection `%s` doesn't exist!" % collection)
                    aliases[name] = collection
                else:
                    raise invalid("the front does not know %s" % kind)
            self.keep_aliases(aliases)
        return col.CollectionOperationResponse(result=True)

    @answered
    def ListAliases(self, request):
        with self.lock:
            aliases = sorted(self.aliases.items())
        return col.ListAliasesResponse(aliases=[col.AliasDescription(alias_name=a, collection_name=c) for a, c in aliases])

    @answered
    def CollectionExists(self, request):
        with self.lock:
            there = request.collection_name in self.all
        return col.CollectionExistsResponse(result=col.CollectionExists(exists=there))

    @answered
    def List(self, request):
        with self.lock:
            names = sorted(self.all)
        return col.ListCollectionsResponse(collections=[col.CollectionDescription(name=n) for n in names])

    @answered
    def Get(self, request):
        if isinstance(request, pts.GetPoints):
            return self.get_points(request)
        return col.GetCollectionInfoResponse(result=self.find(request.collection_name).info())

    @answered
    def CreateFieldIndex(self, request):
        if request.field_type not in INDEXES or request.HasField("field_index_params"):
            raise invalid("the front does not know this index")
        kind = INDEXES[request.field_type][0]
        self.find(request.collection_name).update(edge.UpdateOperation.create_field_index(request.field_name, kind))
        return done()

    @answered
    def Upsert(self, request):
        c = self.find(request.collection_name)
        points = [edge.Point(point_id(p.id), named(p.vectors), payload(p.payload)) for p in request.points]
        only = filtered(request.update_filter) if request.HasField("update_filter") else None
        if request.update_mode:
            raise invalid("the front does not know update modes")
        self.hold_up(request.collection_name)
        c.update(edge.UpdateOperation.upsert_points(points, condition=only))
        return done()

    def hold_up(self, collection):
        hold, held = os.path.join(self.data, "hold"), os.path.join(self.data, "held")
        try:
            with open(hold) as f:
                if f.read() != collection:
                    return
            os.unlink(hold)
        except FileNotFoundError:  # nobody asks, or another upsert was first
            return
        with open(held + ".new", "w") as f:
            f.write(caller.peer.rsplit(":", 1)[1])
        os.rename(held + ".new", held)
        while os.path.exists(held):
            time.sleep(0.005)

    def delete_points(self, request):
        c = self.find(request.collection_name)
        if request.points.WhichOneof("points_selector_one_of") == "filter":
            c.update(edge.UpdateOperation.delete_points_by_filter(filtered(request.points.filter)))
        else:
            c.update(edge.UpdateOperation.delete_points([point_id(p) for p in request.points.points.ids]))
        return done()

    @answered
    def SetPayload(self, request):
        ids = [point_id(p) for p in request.points_selector.points.ids]
        self.find(request.collection_name).update(edge.UpdateOperation.set_payload(ids, payload(request.payload)))
        return done()

    @answered
    def UpdateVectors(self, request):
        points = [edge.PointVectors(point_id(p.id), named(p.vectors)) for p in request.points]
        self.find(request.collection_name).update(edge.UpdateOperation.update_vectors(points))
        return done()

    def get_points(self, request):
        c = self.find(request.collection_name)
        with c.lock:
            found = c.shard.retrieve([point_id(p) for p in request.ids], wanted_payload(request.with_payload),
                                     wanted_vectors(request.with_vectors))
        return pts.GetResponse(result=[retrieved(pts.RetrievedPoint(), r) for r in found])

    @answered
    def Scroll(self, request):
        if request.HasField("order_by"):
            raise invalid("the front does not order")
        c = self.find(request.collection_name)
        asked = edge.ScrollRequest(
            offset=point_id(request.offset) if request.HasField("offset") else None, limit=request.limit or 10,
            filter=filtered(request.filter), with_payload=wanted_payload(request.with_payload),
            with_vector=wanted_vectors(request.with_vectors))
        with c.lock:
            found, next_page = c.shard.scroll(asked)
        out = pts.ScrollResponse(result=[retrieved(pts.RetrievedPoint(), r) for r in found])
        if next_page is not None:
            out.next_page_offset.CopyFrom(id_of(next_page))
        return out

    @answered
    def Query(self, request):
        if request.prefetch or request.query.WhichOneof("variant") != "nearest":
            raise invalid("the front knows queries for what is nearest only")
        c = self.find(request.collection_name)
        nearest = edge.Query.Nearest(vector(request.query.nearest), using=request.using)
        asked = edge.QueryRequest(
            limit=request.limit or 10, query=nearest, filter=filtered(request.filter),
            with_payload=wanted_payload(request.with_payload), with_vector=wanted_vectors(request.with_vectors))
        with c.lock:
            found = c.shard.query(asked)
        return pts.QueryResponse(result=[retrieved(pts.ScoredPoint(score=r.score), r) for r in found])

    @answered
    def Count(self, request):
        c = self.find(request.collection_name)
        with c.lock:
            n = c.shard.count(edge.CountRequest(filter=filtered(request.filter), exact=True))
        return pts.CountResponse(result=pts.CountResult(count=n))


def retrieved(out, r):
    out.id.CopyFrom(id_of(r.id))
    for k, v in (r.payload or {}).items():
        fill(out.payload[k], v)
    if r.vector is not None:
        out.vectors.vectors.SetInParent()
        for name, v in r.vector.items():
            fill_vector(out.vectors.vectors.vectors[name], v)
    return out


def done():
    return pts.PointsOperationResponse(result=pts.UpdateResult(status=pts.Completed))


class Guard(grpc.ServerInterceptor):
    """Refuses calls without the API key that the file holds now; the health check needs none, as at a server."""

    def __init__(self, path):
        self.path = path

        def refuse(request, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Must provide an API key or an Authorization bearer token")

        self.refusal = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, proceed, details):
        with open(self.path) as f:
            key = f.read().strip()
        given = dict(details.invocation_metadata).get("api-key")
        if details.method.endswith("/HealthCheck") or given == key:
            return proceed(details)
        return self.refusal


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", required=True)
    args.add_argument("--port", required=True)
    args.add_argument("--version", required=True)
    args.add_argument("--api-key-file")
    args.add_argument("--tls-cert")
    args.add_argument("--tls-key")
    args = args.parse_args()
    front = Front(args.data, args.version)
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8),
        interceptors=[Guard(args.api_key_file)] if args.api_key_file else [],
        options=[("grpc.max_receive_message_length", MAX_REQUEST), ("grpc.max_send_message_length", -1),
                 ("grpc.so_reuseport", 0), ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
                 ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_ping_strikes", 0)])
    col_service.add_CollectionsServicer_to_server(front, server)
    pts_service.add_PointsServicer_to_server(front, server)
    health_service.add_QdrantServicer_to_server(front, server)
    address = "127.0.0.1:" + args.port
    if args.tls_cert:
        with open(args.tls_cert, "rb") as cert, open(args.tls_key, "rb") as key:
            server.add_secure_port(address, grpc.ssl_server_credentials([(key.read(), cert.read())]))
    else:
        server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
