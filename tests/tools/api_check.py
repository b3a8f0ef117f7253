#!/usr/bin/python3
"""Holds docs/api/openapi.yaml and a running server together.

  api_check.py DOCUMENT --routes FILE                    document and route table name the same operations
  api_check.py DOCUMENT --url URL --token T --examples   every operation is called as it should be; answers fit the schemas
  api_check.py DOCUMENT --url URL --token T --bad N      N wrong requests made from the document: each ends in a 4xx with a
                                                         code and a description, or in what the document promises
"""
import argparse
import http.client
import json
import os
import random
import re
import sys
import time
import urllib.parse

import jsonschema
import yaml

METHODS = ("get", "put", "post", "patch", "delete", "head")


class Document:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.doc = yaml.safe_load(file)
        self.resolver = jsonschema.RefResolver("", self.doc)

    def operations(self):
        for path, methods in self.doc["paths"].items():
            for method in METHODS:
                if method in methods:
                    yield method.upper(), path, methods[method]

    def check(self, schema, value):
        """The first thing in which the value does not fit, or None."""
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        error = next(iter(validator.iter_errors(value)), None)
        return f"{'/'.join(map(str, error.path))}: {error.message[:200]}" if error else None

    def response(self, operation, status):
        answers = operation["responses"]
        found = answers.get(str(status)) or answers.get(f"{status // 100}XX")
        if found and "$ref" in found:
            found = self.doc["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
        return found


class Server:
    def __init__(self, url, token):
        self.at = urllib.parse.urlsplit(url)
        self.token = token
        self.connection = None

    def ask(self, method, path, body=None, headers=None, token=None):
        """Status, content type and body; the connection is kept."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=60)
            try:
                send = {"Content-Type": "application/json", "Authorization": self.token if token is None else token}
                self.connection.request(method, path, body, {**send, **(headers or {})})
                answer = self.connection.getresponse()
                return answer.status, answer.getheader("Content-Type", ""), answer.read()
            except (http.client.HTTPException, ConnectionError) as error:
                self.connection.close()
                self.connection = None
                if attempt == 2:
                    raise SystemExit(f"{method} {path}: no answer: {error!r}")


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)


# --- document and table ---------------------------------------------------------------------------

def check_routes(document, file):
    with open(file, encoding="utf-8") as lines:
        table = {tuple(line.split()) for line in lines}
    described = set()
    for method, path, operation in document.operations():
        security = operation.get("security")
        right = operation.get("x-right", "") if security else "-"
        right = right if right in ("self", "view", "operate", "admin", "super") else "-"
        described.add((method, re.sub(r"\{\w+\}", "*", path), right))
    for one in sorted(table - described):
        print("not in the document:", *one, file=sys.stderr)
    for one in sorted(described - table):
        print("not in the route table:", *one, file=sys.stderr)
    if table != described:
        sys.exit(1)
    print(f"{len(table)} operations, in document and table")


# --- answers --------------------------------------------------------------------------------------

def check_answer(document, method, path, operation, status, kind, body):
    """What is wrong with an answer, or None."""
    if status >= 500:
        return f"status {status}: {body[:200]!r}"
    promised = document.response(operation, status)
    if promised is None:
        return f"status {status} is not in the document: {body[:200]!r}"
    content = promised.get("content")
    if not content or method == "HEAD":
        return None
    wanted = next(iter(content))
    if status == 200 and not kind.startswith(wanted):
        return f"is {kind}, not {wanted}"
    if wanted != "application/json":
        return None
    try:
        value = json.loads(body)
    except ValueError as error:
        return f"status {status}: no JSON ({error}): {body[:200]!r}"
    return document.check(content[wanted]["schema"], value)


class Examples:
    """A story in which each operation is called as it should be."""

    def __init__(self, document, server):
        self.document, self.server, self.done = document, server, set()
        self.by_key = {(m, p): o for m, p, o in document.operations()}

    def call(self, method, path, query=None, body=None, status=200, token=None, values=None, raw=None, headers=None):
        operation = self.by_key.get((method, path)) or fail(f"{method} {path} is not in the document")
        target = path
        for name, value in (values or {}).items():
            target = target.replace("{" + name + "}", value)
        if query:
            target += "?" + urllib.parse.urlencode(query)
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        got, kind, text = self.server.ask(method, target, data, headers, token)
        if got != status:
            fail(f"{method} {target}: {got}, not {status}: {text[:300]!r}")
        problem = check_answer(self.document, method, path, operation, got, kind, text)
        if problem:
            fail(f"{method} {target}: {problem}\n{text[:600]!r}")
        self.done.add((method, path))
        return json.loads(text) if kind.startswith("application/json") and text else text

    def follow(self, method, path, url, raw=None, headers=None):
        at = urllib.parse.urlsplit(url)
        values = dict(zip(re.findall(r"\{(\w+)\}", path), [at.path.rsplit("/", 1)[1]]))
        return self.call(method, path, dict(urllib.parse.parse_qsl(at.query)), values=values, raw=raw, headers=headers)

    def run(self, image, user, letters):
        call = self.call
        for path in ("/apiversions", "/v1/apiversions", "/mqtt_host", "/v1/mqtt_host", "/healthz", "/readyz", "/metrics", "/v1/user", "/v1/user2",
                     "/v1/admin/mqtt_host", "/v1/admin/rainmaker_deployment_details", "/v1/admin/users"):
            call("GET", path)
        self.people(letters)
        job = self.images_and_jobs(image)
        self.nodes(user, job)
        self.makers()
        hook = call("POST", "/v1/admin/webhooks", body={"url": "https://192.0.2.1/x", "events": ["job"]})["webhook_id"]
        call("GET", "/v1/admin/webhooks")
        call("PUT", "/v1/admin/webhooks", {"webhook_id": hook}, {"paused": True})
        call("GET", "/v1/admin/webhooks/deliveries", {"webhook_id": hook})
        last = call("GET", "/v1/admin/webhooks")["webhooks"][0]["last_event"]
        call("POST", "/v1/admin/webhooks/replay", body={"webhook_id": hook, "from_event": last})
        call("DELETE", "/v1/admin/webhooks", {"webhook_id": hook})
        org = call("POST", "/v1/admin/organisations", body={"name": "Others"})["organisation_id"]
        call("GET", "/v1/admin/organisations")
        call("DELETE", "/v1/admin/organisations", {"organisation_id": org})
        call("GET", "/v1/admin/audit")
        call("GET", "/v1/admin/audit", {"order": "newest", "num_records": 3})
        call("GET", "/v1/admin/overview")
        call("GET", "/v1/admin/settings")
        call("GET", "/v1/admin/audit/verify")

    def people(self, letters):
        call = self.call

        def code():
            end = time.monotonic() + 20
            while not os.path.exists(letters):  # a program of its own brings it
                if time.monotonic() > end:
                    fail("no letter came")
                time.sleep(0.01)
            with open(letters, encoding="utf-8") as file:
                text = file.read()
            os.unlink(letters)
            return re.search(r"is (\d{6})", text).group(1)

        call("POST", "/v1/user2", body={"user_name": "bo@x.org", "password": "Passw0rd"}, status=201, token="")
        call("POST", "/v1/user2", body={"user_name": "bo@x.org", "verification_code": code()}, status=201, token="")
        login = {"user_name": "bo@x.org", "password": "Passw0rd"}

        def own(password="Passw0rd"):  # a session ends with its password
            return call("POST", "/v1/login2", body={**login, "password": password}, token="")["accesstoken"]

        session = call("POST", "/v1/login2", body=login, token="")
        call("POST", "/v1/login2", body={"refreshtoken": session["refreshtoken"]}, token="")
        call("PUT", "/v1/password2", body={"password": "Passw0rd", "newpassword": "Passw0rd2"}, token=own())
        call("PUT", "/v1/user2", body={"password": "Passw0rd2", "newpassword": "Passw0rd"}, token=own("Passw0rd2"))
        call("PUT", "/v1/forgotpassword2", body={"user_name": "bo@x.org"}, token="")
        call("PUT", "/v1/forgotpassword2", body={**login, "verification_code": code()}, token="")
        made = call("POST", "/v1/user/tokens", body={"name": "t", "role": "user", "days": 3}, token=own())
        call("GET", "/v1/user/tokens", token=made["token"])
        call("DELETE", "/v1/user/tokens", {"token_id": made["token_id"]}, token=own())
        call("POST", "/v1/logout2", body={}, token=own())
        call("DELETE", "/v1/user2", {"request": "true"}, token=own())
        call("DELETE", "/v1/user2", {"verification_code": code()}, token=own())
        call("POST", "/v1/admin/users", body={"user_name": "op", "password": "Passw0rd", "role": "operator"})
        call("PUT", "/v1/admin/users", {"user_name": "op"}, {"disabled": True})
        call("PUT", "/v1/admin/user_role", {"user_name": "op", "operation": "remove"}, {"roles": ["operator"]})
        call("DELETE", "/v1/admin/users", {"user_name": "op"})

    def images_and_jobs(self, image):
        import base64

        call = self.call
        encoded = base64.b64encode(image).decode()
        posted = call("POST", "/v1/admin/otaimage", body={"image_name": "posted", "base64_fwimage": encoded})
        call("POST", "/v1/user/otaimage", body={"image_name": "own", "base64_fwimage": encoded})
        request = call("GET", "/v1/admin/otaimage/upload_request", {"image_name": "put"})
        self.follow("PUT", "/v1/uploads/{upload}", request["upload_url"], raw=image)
        added = call("POST", "/v1/admin/otaimage/upload_confirm", body={"ota_image_id": request["ota_image_id"]})
        call("POST", "/v1/admin/key", body={"key_name": "k", "key_spec": "ECC_NIST_P256"})
        call("GET", "/v1/admin/key", {"key_name": "k"})
        signed = call("POST", "/v1/admin/secure_sign", body={"image_id": added["ota_image_id"], "key_names": ["k"]})
        call("GET", "/v1/admin/secure_sign", {"request_id": signed["request_id"]})
        call("GET", "/v1/admin/secure_sign/signed_images", {"key_name": "k"})
        call("GET", "/v1/admin/secure_sign/signing_keys", {"image_id": added["ota_image_id"]})
        self.files_and_packages(image, added["ota_image_id"])
        call("DELETE", "/v1/admin/key", {"key_name": "k"})
        call("GET", "/v1/admin/otaimage")
        call("GET", "/v1/admin/otaimage", {"ota_image_id": added["ota_image_id"]})
        self.follow("GET", "/v1/files/{image}", posted["image_url"])
        self.follow("HEAD", "/v1/files/{image}", posted["image_url"])
        call("PUT", "/v1/admin/otaimage", {"ota_image_id": posted["ota_image_id"], "archive": "true"})
        call("DELETE", "/v1/admin/otaimage", {"ota_image_id": posted["ota_image_id"]})
        call("POST", "/v1/admin/nodes", body={"node_id": "e1"})
        order = {"ota_job_name": "j", "ota_image_id": added["ota_image_id"], "nodes": ["e1"], "priority": 3, "metadata": {"k": 1}}
        call("POST", "/v1/admin/otajob/audience", body=order)
        call("POST", "/v1/admin/otajob/plan", body=order)
        job = call("POST", "/v1/admin/otajob", {"force_push": "true"}, order)["ota_job_id"]
        one = {"ota_job_id": job}
        for path in ("", "/status", "/status/summary", "/clusters", "/curve"):
            call("GET", "/v1/admin/otajob" + path, one)
        call("GET", "/v1/admin/otajob")
        call("GET", "/v1/admin/otajob/status", {**one, "state": "triggered,offered"})
        call("GET", "/v1/admin/otajob/status", {"node_id": "e1"})
        call("GET", "/v1/admin/otajob/why", {**one, "node_id": "e1"})
        call("GET", "/v1/admin/otajob/timeline", {**one, "node_id": "e1"})
        call("POST", "/v1/admin/otajob/pause", body={**one, "reason": "a look"})
        call("POST", "/v1/admin/otajob/edit", body={**one, "rollout": "in-flight 1"})
        call("POST", "/v1/admin/otajob/resume", body=one)
        call("POST", "/v1/admin/otajob/retrigger", body=one)
        call("POST", "/v1/admin/otajob/exclude", body={**one, "query": "id = none"})
        call("POST", "/v1/admin/otajob/retry", body={**one, "all": True})
        call("PUT", "/v1/admin/otajob", body=one)
        return job

    def files_and_packages(self, image, image_id):
        import io
        import zipfile

        call = self.call
        asked = call("GET", "/v1/admin/file/upload_request", {"file_name": "qa.txt", "entity_id": image_id, "entity_type": "ota_image"})
        where = "/v1/uploads/{upload}"
        self.follow("PATCH", where, asked["upload_url"], b"all ", {"Upload-Offset": "0"})
        self.follow("HEAD", where, asked["upload_url"])
        self.follow("PATCH", where, asked["upload_url"], b"good", {"Upload-Offset": "4"})
        call("POST", "/v1/admin/file/upload_confirm", body={"file_id": asked["file_id"], "file_type": "qa_report", "metadata": {"by": "me"}})
        file = call("GET", "/v1/admin/file", {"entity_id": image_id})["file_details"][0]
        if self.follow("GET", "/v1/files/{image}", file["file_url"]) != b"all good":
            fail("a file's bytes are others")
        call("DELETE", "/v1/admin/file", {"file_id": file["file_id"]})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr("blinky.bin", image)
            package.writestr("notes.txt", "new")
        asked = call("GET", "/v1/admin/otaimage/package/upload", {"file_name": "blinky_1.1.0.zip"})
        self.follow("PUT", where, asked["url"], packed.getvalue())
        call("POST", "/v1/admin/otaimage/package", body={"image_name": "blinky_1.1.0", "type": "t", "file_path": "blinky_1.1.0.zip"})

    def nodes(self, user, job):
        call = self.call
        mapping = "/v1/admin/users/{user}/nodes/{node}/mapping"
        call("PUT", mapping, values={"user": user, "node": "e1"})
        call("GET", "/v1/user/nodes", {"node_details": "true"})
        call("PUT", "/v1/user/nodes", {"node_id": "e1"}, {"tags": ["a:b"], "metadata": {"x": 1}})
        call("DELETE", "/v1/user/nodes", {"node_id": "e1"}, {"tags": ["a:b"]})
        call("GET", "/v1/user/nodes/status", {"nodeid": "e1"})
        call("GET", "/v1/user/nodes/params", {"nodeid": "e1"})
        call("PUT", "/v1/user/nodes/params", body=[{"node_id": "e1", "payload": {"L": {"P": 1}}}])
        call("PUT", "/v1/user/nodes/params", {"nodeid": "e1"}, {"L": {"P": 1}})
        call("GET", "/v1/user/nodes/ota_update", {"node_id": "e1"})
        call("GET", "/v1/user/nodes/ota_status", {"node_id": "e1", "ota_job_id": job}, status=404)
        wish = {"node_id": "e1", "user_id": user, "secret_key": "s", "operation": "add"}
        request = call("PUT", "/v1/user/nodes/mapping", body=wish)["request_id"]
        call("GET", "/v1/user/nodes/mapping", {"request_id": request})
        call("POST", "/v1/user/nodes/mapping/initiate", body={"timeout": 60})
        for base in ("/v1/user/node_group", "/v1/admin/node_group"):
            group = call("POST", base, body={"group_name": "g", "nodes": ["e1"]})["group_id"]
            call("GET", base)
            call("GET", base, {"group_id": group, "node_details": "true"})
            call("GET", base, {"group_name": "g"})
            call("PUT", base, {"group_id": group}, {"description": "d"})
            call("DELETE", base, {"group_id": group})
        self.sharing()
        order = {"name": "a", "node_id": "e1", "event_type": "node_params", "events": [{"params": {"L": {"P": 1}}, "check": ">="}],
                 "actions": [{"node_id": "e1", "params": {"L": {"Q": 2}}}], "event_operator": "and", "retrigger": False}
        one = {"automation_id": call("POST", "/v1/user/node_automation", body=order)["automation_id"]}
        call("PUT", "/v1/user/node_automation", one, {"enabled": False})
        call("GET", "/v1/user/node_automation", one)
        call("DELETE", "/v1/user/node_automation", one)
        sent = call("POST", "/v1/user/nodes/cmd", body={"node_ids": ["e1"], "cmd": 16, "data": {"a": 1}, "timeout": 60})
        call("GET", "/v1/user/nodes/cmd", {"request_id": sent["request_id"]})
        call("GET", "/v1/admin/nodes")
        call("GET", "/v1/admin/nodes", {"node_id": "e1"})
        call("PUT", "/v1/admin/nodes", {"node_id": "e1"}, {"tags": ["a:b"]})
        call("PUT", "/v1/admin/nodes", {"node_id": "e1", "activate": "true"})
        call("DELETE", "/v1/admin/nodes", {"node_id": "e1"}, {"tags": ["a:b"]})
        call("DELETE", mapping, values={"user": user, "node": "e1"})
        simulator = call("POST", "/v1/admin/simulators", body={"node_count": 2})["simulator"]
        call("GET", "/v1/admin/simulators")
        call("DELETE", "/v1/admin/simulators", {"simulator": simulator})
        call("POST", "/v1/admin/nodes", body={"node_id": "e3"})
        call("DELETE", "/v1/admin/nodes/{node}", values={"node": "e3"})
        for base in ("/claim", "/v1/claim"):
            call("POST", base + "/initiate", body={"mac_addr": "AABBCCDDEEFF", "platform": "esp32"})

    def sharing(self):
        call = self.call
        call("POST", "/v1/admin/users", body={"user_name": "pia", "password": "Passw0rd", "role": "user"})
        pia = call("POST", "/v1/login2", body={"user_name": "pia", "password": "Passw0rd"}, token="")["accesstoken"]
        group = call("POST", "/v1/user/node_group", body={"group_name": "shared", "nodes": ["e1"]})["group_id"]
        for path, ids, one in (("/v1/user/nodes/sharing", "nodes", "e1"), ("/v1/user/node_group/sharing", "groups", group)):
            asked = {ids: [one], "user_name": "pia", "metadata": {"from": "me"}}
            taken_back = call("PUT", path, body=asked)["request_id"]
            call("GET", path + "/requests", {"primary_user": "true"})
            call("DELETE", path + "/requests", {"request_id": taken_back})
            request = call("PUT", path, body=asked)["request_id"]
            call("GET", path + "/requests", {"primary_user": "false"}, token=pia)
            call("PUT", path + "/requests", body={"request_id": request, "accept": True}, token=pia)
            call("GET", path, token=pia)
            call("GET", path)
            call("DELETE", path, {ids: one, "user_name": "pia"})
        call("DELETE", "/v1/user/node_group", {"group_id": group})

    def makers(self):
        call = self.call
        request = call("POST", "/v1/admin/node_ids", body={"node_count": 3})["request_id"]
        self.follow("GET", "/v1/node_ids/{request}", call("GET", "/v1/admin/node_ids", {"request_id": request})["url"])
        made = call("POST", "/v1/admin/nodes", body={"node_id": "e2"})
        announced = call("GET", "/v1/admin/node_certificates/register", {"file_name": "l.csv"})
        listed = f'node_id,certs\r\ne2,"{made["client_cert"]}"\r\n'.encode()
        self.follow("PUT", "/v1/registrations/{request}", announced["url"], raw=listed)
        call("POST", "/v1/admin/node_certificates/register", body={"request_id": announced["request_id"], "force": True})
        call("GET", "/v1/admin/node_certificates/register", {"request_id": announced["request_id"]})
        authority = call("POST", "/v1/admin/authorities", body={"certificate": made["ca_cert"]})["authority_id"]
        call("GET", "/v1/admin/authorities")
        call("DELETE", "/v1/admin/authorities", {"authority_id": authority})


# What the story above cannot reach by plain HTTP or without a node.
ELSEWHERE = {
    ("GET", "/v1/oidc"), ("GET", "/v1/oidc/login"), ("GET", "/v1/oidc/callback"),
    ("GET", "/v1/user/nodes/config"), ("POST", "/v1/user/nodes/mapping/verify"), ("POST", "/v1/user/nodes/ota_update"),
    ("POST", "/v1/admin/otajob/approve"), ("POST", "/claim/verify"), ("POST", "/v1/claim/verify"), ("GET", "/v1/admin/events"), ("GET", "/v1/node/otafetch"),
    ("POST", "/v1/node/otastatus"), ("PUT", "/v1/node/config"), ("PUT", "/v1/node/params/local"),
    ("POST", "/v1/node/params/local"),
}


def check_examples(document, server, image, user, letters):
    story = Examples(document, server)
    with open(image, "rb") as file:
        story.run(file.read(), user, letters)
    missing = {(m, p) for m, p, _ in document.operations()} - story.done - ELSEWHERE
    for one in sorted(missing):
        print("no example of", *one, file=sys.stderr)
    if missing:
        sys.exit(1)
    print(f"{len(story.done)} operations answer as the document says")


# --- bad input ------------------------------------------------------------------------------------

ODD_TEXTS = ["", " ", "x" * 70, "x" * 5000, "\u00e9\u4e2d\U0001f600", "../../etc/passwd", "%s%n", "a\nb", "a\u0000b", "'; DROP TABLE nodes;--",
             "-1", "null", "true", "FFFF-FFFF", "node/+/#", "\x7f", "{\"a\":1}"]
ODD_VALUES = [None, True, False, 0, -1, 1, 2**31, 2**53, -2**63, 2**64, 1e308, 0.5, [], {}, [[]], [None], [1, "x", {}], {"a": {"b": []}},
              ["x"] * 200, {str(i): i for i in range(200)}]


class Wrong:
    """Requests that are wrong in one way or several, made from what the document says is right."""

    # They would end the run: the caller's own session or account, and who may come in.
    SPARED = {("POST", "/v1/logout2"), ("DELETE", "/v1/user2"), ("PUT", "/v1/user2"), ("PUT", "/v1/password2"),
              ("GET", "/v1/admin/events")}

    def __init__(self, document, seed):
        self.random = random.Random(seed)
        self.operations = [o for o in document.operations()
                           if (o[0], o[1]) not in self.SPARED and not o[1].startswith("/v1/node/")]

    def value(self, schema):
        """Something that fits, more or less."""
        pick = self.random
        if "enum" in schema:
            return pick.choice(schema["enum"])
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "integer":
            return pick.randint(schema.get("minimum", 0), min(schema.get("maximum", 1000), schema.get("minimum", 0) + 1000))
        if kind == "boolean":
            return pick.random() < 0.5
        if kind == "array":
            return [self.value(schema.get("items", {})) for _ in range(pick.randint(0, 3))]
        if kind == "object":
            return self.object(schema)
        return pick.choice(["e1", "x", "name", "id = e1", "phase 10%"])

    def object(self, schema):
        known = schema.get("properties", {})
        return {name: self.value(s) for name, s in known.items() if name in schema.get("required", []) or self.random.random() < 0.4}

    def odd(self):
        return self.random.choice(ODD_TEXTS if self.random.random() < 0.5 else ODD_VALUES)

    def spoil(self, value, depth=0):
        """A copy with something wrong in it."""
        pick = self.random
        if isinstance(value, dict) and value and depth < 3:
            copy = dict(value)
            name = pick.choice(list(copy))
            how = pick.random()
            if how < 0.2:
                del copy[name]
            elif how < 0.4:
                copy[name] = self.spoil(copy[name], depth + 1)
            else:
                copy[name] = self.odd()
            return copy
        return self.odd()

    def text(self, value):
        """As bytes: mostly JSON, sometimes not quite."""
        pick = self.random
        data = json.dumps(value).encode()
        how = pick.random()
        if how < 0.70:
            return data
        if how < 0.78:
            return data[:pick.randint(0, len(data))]  # cut
        if how < 0.84 and data.startswith(b"{") and len(data) > 2:
            return data[:-1] + b"," + data[1:]  # every key twice
        if how < 0.88:
            return b"[" * pick.choice([30, 1000, 60000])
        if how < 0.92:
            at = pick.randint(0, len(data))
            return data[:at] + bytes([pick.randint(128, 255), 0xC0, 0x00]) + data[at:]  # no UTF-8
        if how < 0.96:
            return b'{"a":' * 40 + b"1" + b"}" * 40
        return bytes(pick.getrandbits(8) for _ in range(pick.randint(0, 200)))

    def request(self):
        pick = self.random
        method, path, operation = pick.choice(self.operations)
        query, target = [], path
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                odd = urllib.parse.quote(str(self.odd())[:60], safe="") or "x"
                target = target.replace("{" + parameter["name"] + "}", pick.choice(["e1", odd]))
            elif parameter.get("required", False) and pick.random() < 0.8 or pick.random() < 0.3:
                odd = self.odd() if pick.random() < 0.5 else self.value(parameter["schema"])
                query.append((parameter["name"], str(odd)[:2000]))
        if query:
            target += "?" + urllib.parse.urlencode(query, errors="surrogatepass")
        body = None
        if "requestBody" in operation:
            schema = next(iter(operation["requestBody"]["content"].values()))["schema"]
            schema = pick.choice(schema["oneOf"]) if "oneOf" in schema else schema
            value = self.value(schema) if "type" in schema else {}
            body = self.text(self.spoil(value) if pick.random() < 0.85 else value)
        elif pick.random() < 0.05:
            body = b"{}"
        return method, path, operation, target, body


def check_bad(document, server, count, seed):
    wrong, statuses = Wrong(document, seed), {}
    for number in range(count):
        method, path, operation, target, body = wrong.request()
        status, kind, text = server.ask(method, target, body)
        statuses[status] = statuses.get(status, 0) + 1
        problem = check_answer(document, method, path, operation, status, kind, text)
        if problem:
            fail(f"request {number} of seed {seed}: {method} {target[:300]}\n{(body or b'')[:600]!r}\n{problem}")
    print(f"{count} wrong requests:", ", ".join(f"{n} x {status}" for status, n in sorted(statuses.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document")
    parser.add_argument("--routes")
    parser.add_argument("--url")
    parser.add_argument("--token", default="")
    parser.add_argument("--user", help="id of the token's user")
    parser.add_argument("--examples", metavar="IMAGE", help="an image to upload")
    parser.add_argument("--letters", help="the file where letters arrive")
    parser.add_argument("--bad", type=int)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    document = Document(o.document)
    if o.routes:
        check_routes(document, o.routes)
    if o.examples:
        check_examples(document, Server(o.url, o.token), o.examples, o.user, o.letters)
    if o.bad:
        check_bad(document, Server(o.url, o.token), o.bad, o.seed)


main()
