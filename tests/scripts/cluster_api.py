"""A Kubernetes API server that serves a recording of tests/cases/cluster, and a check of the plugin against it.

Serves lists as the API does (items without `kind`, `limit` and `continue`, 404 for what it does not have, `Status`
objects as errors) and logs. Each fault of the way there is a mode:

    python3 tests/scripts/cluster_api.py serve PORT MODE FAULT …    # MODE: plain, forbid=nodes, token, slow, huge, html, stale, hang
    python3 tests/scripts/cluster_api.py check PAWL DIST            # all modes through `PAWL call`, the component in DIST

The check compares the findings through the API with those of the same recording as a file. Port 8001 has to be free.
"""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from cluster_recording import recording

RESOURCES = {"pods": "Pod", "nodes": "Node", "events": "Event", "services": "Service", "endpointslices": "EndpointSlice", "deployments": "Deployment", "replicasets": "ReplicaSet",
             "statefulsets": "StatefulSet", "daemonsets": "DaemonSet", "jobs": "Job", "cronjobs": "CronJob", "persistentvolumeclaims": "PersistentVolumeClaim", "persistentvolumes": "PersistentVolume",
             "storageclasses": "StorageClass", "ingresses": "Ingress", "ingressclasses": "IngressClass", "networkpolicies": "NetworkPolicy", "horizontalpodautoscalers": "HorizontalPodAutoscaler",
             "resourcequotas": "ResourceQuota", "namespaces": "Namespace", "apiservices": "APIService", "secrets": "Secret"}
ASKED = []


def handler(mode, objects, logs):
    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body, kind="application/json"):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except BrokenPipeError:
                pass

        def fail(self, status, message):
            self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status})

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            parts = url.path.strip("/").split("/")
            ASKED.append((self.path, self.headers.get("authorization")))
            if mode == "token" and self.headers.get("authorization") != "Bearer right":
                return self.fail(401, "Unauthorized")
            if mode == "html":
                return self.answer(200, b"<html>Sign in</html>", "text/html")
            if mode == "hang" or mode == "slow" and parts[-1] == "services":
                time.sleep(5)
                return None
            namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts and parts[-1] != "namespaces" else None
            if parts[-1] == "log":
                name = "%s_%s_%s%s.log" % (namespace, parts[-2], query["container"], ".previous" if query.get("previous") == "true" else "")
                return self.answer(200, logs[name].encode(), "text/plain") if name in logs else self.fail(400, "previous terminated container not found")
            kind = RESOURCES.get(parts[-1])
            if kind is None:
                return self.answer(404, b"404 page not found\n", "text/plain")
            if mode == "forbid=" + parts[-1]:
                return self.fail(403, '%s is forbidden: User "system:serviceaccount:ops:doctor" cannot list resource "%s" in API group "" at the cluster scope' % (parts[-1], parts[-1]))
            found = [o for o in objects if o["kind"] == kind and namespace in (None, o["metadata"].get("namespace"))]
            if "fieldSelector" in query:
                key, value = query["fieldSelector"].split("=")
                found = [o for o in found if o.get(key) == value]
            if mode == "huge" and kind == "Event":
                event = next(o for o in found)
                found = [{**event, "metadata": {**event["metadata"], "name": "e%d" % n}} for n in range(30000)]
            start, limit = int(query.get("continue", "0")), min(int(query.get("limit", "500")), 7 if mode == "plain" else 10**6)
            if mode == "stale" and kind == "Pod" and start == 0:
                limit = 3
            elif mode == "stale" and start:
                return self.fail(410, "The provided continue parameter is too old")
            page = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in found[start:start + limit]]
            end = start + limit
            meta = {"resourceVersion": "1"} | ({"continue": str(end), "remainingItemCount": len(found) - end} if end < len(found) else {})
            return self.answer(200, {"kind": kind + "List", "apiVersion": "v1", "metadata": meta, "items": page})

    return Api


def serve(port, mode, faults):
    objects, logs = recording(faults)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(mode, list(objects.values()), logs))
    server.daemon_threads = True
    return server


def check(pawl, dist):
    faults = ["native_sidecar_crashes", "provisioning_refused", "intermediate_expired", "dns_loop", "load_balancer_pending"]
    work = pathlib.Path(tempfile.mkdtemp())
    objects, logs = recording(faults)
    (work / "rec").mkdir()
    (work / "rec" / "all.json").write_text(json.dumps({"kind": "List", "items": list(objects.values())}))
    for name, text in logs.items():
        (work / "rec" / name).write_text(text)

    def call(config, http=True):
        http = '[[plugins.cluster.grant.http]]\nhost = "127.0.0.1"\nscheme = "http"\nports = [8001]\nprivate = true\ntimeout = "1s"\nmax-response = "8MiB"\n' if http else ""
        (work / "pawl.toml").write_text('[plugins.cluster]\npath = "%s"\npin = false\n[plugins.cluster.grant]\ndocuments = { cluster = "%s" }\n%s\n%s' % (dist, work / "rec", config, http))
        began = time.time()
        whole, page = None, 1
        while page:
            arguments = json.dumps({"page": page})
            done = subprocess.run([pawl, "call", "cluster.diagnose", "--json", arguments, "--config", str(work / "pawl.toml")], capture_output=True, text=True, env={**os.environ, "PAWL_DATA": str(work)})
            if done.returncode:
                return done.stderr.strip(), time.time() - began
            part = json.loads(done.stdout)
            page = part["next-page"]
            whole = {**part, "findings": (whole or {"findings": []})["findings"] + part["findings"]}
        return whole, time.time() - began

    def ids(diagnosis):
        return [f["id"] for f in diagnosis["findings"]]

    file, _ = call("")
    api = 'config = { api = "http://127.0.0.1:8001" }'
    tls = 'config = { api = "http://127.0.0.1:8001", tls-secrets = "true", token = "right" }'
    good = True
    for mode, config, expected in [
        ("plain", tls, lambda d: ids(d) == ids(file) and not d["unread"]),
        ("plain", api, lambda d: ids(d) == [i for i in ids(file) if "certificate" not in i] and not any("/secrets" in p for p, _ in ASKED)),
        ("forbid=nodes", tls, lambda d: ids(d) == ids(file) and [u["reason"][:47] for u in d["unread"]] == ["not allowed (403): grant `list` on nodes to the"]),
        ("forbid=pods", tls, lambda d: not any("no-pods" in i for i in ids(d)) and len(d["unread"]) == 1),
        ("token", tls, lambda d: ids(d) == ids(file)),
        ("token", api, lambda e: isinstance(e, str) and "401" in e and "token" in e),
        ("slow", tls, lambda d: [u["file"] for u in d["unread"]] == ["/api/v1/services"] and "crash-loop:kube-system/coredns" in ids(d)),
        ("hang", tls, lambda e: isinstance(e, str) and "did not answer" in e),
        ("html", tls, lambda e: isinstance(e, str) and "is this its address" in e),
        ("stale", tls, lambda d: any("410" in u["reason"] for u in d["unread"]) and not any("no-pods" in i for i in ids(d))),
        ("huge", tls, lambda d: any("left out" in u["reason"] for u in d["unread"]) and "certificate-expired:payments/api-tls" in ids(d)),
        ("closed", tls, lambda e: isinstance(e, str) and "nothing listens" in e),
    ]:
        ASKED.clear()
        server = None
        if mode != "closed":
            server = serve(8001, mode, faults)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        told, seconds = call(config)
        if server:
            server.shutdown()
            server.server_close()
        ok = expected(told) if isinstance(told, dict) or mode in ("token", "hang", "html", "closed") else False
        good &= ok
        what = "%d findings, unread %s" % (len(told["findings"]), [u["file"] + ": " + u["reason"][:90] for u in told["unread"]]) if isinstance(told, dict) else told[-200:]
        print("%s %-12s %5.2f s, %3d requests: %s" % ("ok " if ok else "BAD", mode, seconds, len(ASKED), what))
    told, _ = call(api, http=False)
    ok = isinstance(told, str) and "not granted" in told
    print("ok " if ok else "BAD", "no grant:", str(told)[-230:])
    return good and ok


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3], sys.argv[4:]).serve_forever()
    sys.exit(0 if check(sys.argv[2], sys.argv[3]) else 1)
