"""Writes tests/cases/cluster: three healthy clusters and 40 faults planted in them, as the Kubernetes API shows them.

A fault changes a copy of a cluster: objects, conditions, events and logs. What differs from the healthy cluster is kept
as JSON Merge Patches (RFC 7396) by object. `gold` is written by hand: the rule and the object at fault.
Messages are those of kubelet, scheduler and controllers of v1.28 to v1.34. Needs `cryptography` (certificates).

    python3 tests/scripts/cluster_corpus.py
"""
import base64
import copy
import datetime as dt
import json
import pathlib
import random

OUT = pathlib.Path(__file__).resolve().parents[1] / "cases" / "cluster"
NOW = dt.datetime(2031, 3, 4, 10, 0, 0, tzinfo=dt.timezone.utc)


def ago(**k):
    return (NOW - dt.timedelta(**k)).strftime("%Y-%m-%dT%H:%M:%SZ")


def certificate(days_from, days_to):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example.com")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(4711).not_valid_before(NOW + dt.timedelta(days=days_from))
            .not_valid_after(NOW + dt.timedelta(days=days_to)).sign(key, hashes.SHA256()))
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


class Cluster:
    def __init__(self, seed):
        self.objects, self.logs, self.random = [], {}, random.Random(seed)

    def add(self, kind, api, ns, name, spec=None, status=None, made=None, labels=None, owner=None, **more):
        meta = {"name": name, "uid": "%08x-0000-4000-8000-%012x" % (self.random.getrandbits(32), self.random.getrandbits(48)),
                "creationTimestamp": made or ago(days=40), "resourceVersion": str(self.random.randrange(10**6))}
        if ns:
            meta["namespace"] = ns
        if labels:
            meta["labels"] = labels
        if owner:
            meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "controller": True, "blockOwnerDeletion": True, "uid": "u"}]
        o = {"apiVersion": api, "kind": kind, "metadata": meta, **more}
        if spec is not None:
            o["spec"] = spec
        if status is not None:
            o["status"] = status
        self.objects.append(o)
        return o

    def get(self, kind, ns, name):
        return next(o for o in self.objects if o["kind"] == kind and o["metadata"].get("namespace", "") == ns and o["metadata"]["name"] == name)

    def pods(self, ns, prefix):
        return [o for o in self.objects if o["kind"] == "Pod" and o["metadata"].get("namespace") == ns and o["metadata"]["name"].startswith(prefix)]

    def drop(self, kind, ns, name):
        self.objects.remove(self.get(kind, ns, name))

    def node(self, name, roles="worker", taints=None):
        def c(t, s, r, m):
            return {"type": t, "status": s, "reason": r, "message": m, "lastHeartbeatTime": ago(seconds=20), "lastTransitionTime": ago(days=40)}
        spec = {"podCIDR": "10.244.1.0/24"}
        if taints:
            spec["taints"] = taints
        self.add("Node", "v1", "", name, spec, {"conditions": [
            c("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            c("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            c("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            c("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"}, "nodeInfo": {"kubeletVersion": "v1.30.2", "architecture": "amd64"}},
            labels={"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", f"node-role.kubernetes.io/{roles}": ""})

    def pod(self, ns, name, image, node, labels, owner=None, port=8080, days=9, volumes=None, init=None, limits="256Mi", restarts=0, **more):
        c = {"name": name.split("-")[0], "image": image, "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
             "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": limits}},
             "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10}}
        spec = {"nodeName": node, "containers": [c], "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "serviceAccountName": "default", "volumes": volumes or [], **more}
        cond = [{"type": t, "status": "True", "lastTransitionTime": ago(days=days), "lastProbeTime": None} for t in
                ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")]
        st = {"name": c["name"], "image": image, "imageID": "sha256:1", "ready": True, "started": True, "restartCount": restarts,
              "state": {"running": {"startedAt": ago(days=days)}}, "lastState": {}}
        if restarts:
            st["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": ago(days=days + 2), "finishedAt": ago(days=days)}}
        status = {"phase": "Running", "conditions": cond, "containerStatuses": [st], "qosClass": "Burstable", "startTime": ago(days=days), "podIP": "10.244.1.7"}
        if init:
            spec["initContainers"] = [{"name": init, "image": image}]
            status["initContainerStatuses"] = [{"name": init, "image": image, "ready": True, "restartCount": 0, "lastState": {},
                                                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": ago(days=days)}}}]
        return self.add("Pod", "v1", ns, name, spec, status, ago(days=days), labels, owner)

    def deployment(self, ns, app, image, nodes, port=8080, init=None, volumes=None, recorded_rs=True, restarts=0):
        h = "%08x9c" % self.random.getrandbits(32)
        n = len(nodes)
        labels = {"app": app}
        tl = {**labels, "pod-template-hash": h}
        def c(t, s, r, m):
            return {"type": t, "status": s, "reason": r, "message": m, "lastUpdateTime": ago(days=9), "lastTransitionTime": ago(days=9)}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": app, "image": image}]}}
        self.add("Deployment", "apps/v1", ns, app, {"replicas": n, "selector": {"matchLabels": labels}, "template": template, "progressDeadlineSeconds": 600},
                 {"replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n, "conditions": [
                     c("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
                     c("Progressing", "True", "NewReplicaSetAvailable", f'ReplicaSet "{app}-{h}" has successfully progressed.')]}, labels=labels)
        if recorded_rs:
            self.add("ReplicaSet", "apps/v1", ns, f"{app}-{h}", {"replicas": n, "selector": {"matchLabels": tl}}, {"replicas": n, "readyReplicas": n}, labels=tl, owner=("Deployment", app))
            self.add("ReplicaSet", "apps/v1", ns, f"{app}-5f6b7c8d9", {"replicas": 0, "selector": {"matchLabels": labels}}, {"replicas": 0}, labels={**labels, "pod-template-hash": "5f6b7c8d9"}, owner=("Deployment", app))
        for i, node in enumerate(nodes):
            self.pod(ns, f"{app}-{h}-{'bcdfg'[i]}x{'klmnp'[i]}q", image, node, tl, ("ReplicaSet", f"{app}-{h}"), port, init=init, volumes=volumes, restarts=restarts)

    def service(self, ns, name, selector, port=80, target="http", endpoints=True, **more):
        self.add("Service", "v1", ns, name, {"type": "ClusterIP", "clusterIP": "10.96.3.4", "ports": [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}],
                 **({"selector": selector} if selector else {}), **more}, {"loadBalancer": {}})
        if endpoints:
            self.add("EndpointSlice", "discovery.k8s.io/v1", ns, f"{name}-x7k2p", labels={"kubernetes.io/service-name": name}, addressType="IPv4",
                     endpoints=[{"addresses": ["10.244.1.7"], "conditions": {"ready": True}}], ports=[{"name": "http", "port": 8080}])

    def event(self, o, reason, message, kind="Warning", minutes=3, count=7, source="kubelet", new=False):
        ref = {"kind": o["kind"], "name": o["metadata"]["name"], "apiVersion": o["apiVersion"]}
        if "namespace" in o["metadata"]:
            ref["namespace"] = o["metadata"]["namespace"]
        name = f"{o['metadata']['name']}.{self.random.getrandbits(56):014x}"
        ns = ref.get("namespace", "default")
        if new:
            return self.add("Event", "events.k8s.io/v1", ns, name, made=ago(minutes=minutes), regarding=ref, reason=reason, note=message, type=kind,
                            eventTime=ago(minutes=minutes), action="Binding", reportingController=source, reportingInstance=source + "-1")
        return self.add("Event", "v1", ns, name, made=ago(minutes=minutes + 10), involvedObject=ref, reason=reason, message=message, type=kind, count=count,
                        firstTimestamp=ago(minutes=minutes + 10), lastTimestamp=ago(minutes=minutes), source={"component": source})

    def pvc(self, ns, name, cls="standard", phase="Bound"):
        vol = f"pvc-{name}"
        self.add("PersistentVolumeClaim", "v1", ns, name, {"accessModes": ["ReadWriteOnce"], "storageClassName": cls, "resources": {"requests": {"storage": "10Gi"}},
                 **({"volumeName": vol} if phase == "Bound" else {})}, {"phase": phase})
        if phase == "Bound":
            self.add("PersistentVolume", "v1", "", vol, {"claimRef": {"namespace": ns, "name": name}, "storageClassName": cls}, {"phase": "Bound"})

    def job(self, ns, name, owner=None, hours=8, **more):
        self.add("Job", "batch/v1", ns, name, {"backoffLimit": 6, "completions": 1, "parallelism": 1},
                 {"succeeded": 1, "startTime": ago(hours=hours), "completionTime": ago(hours=hours - 0.1), "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": ago(hours=hours - 0.1)}]},
                 ago(hours=hours), owner=owner)
        p = self.pod(ns, f"{name}-z9x8c", "registry.example.com/backup:3", self.objects[0]["metadata"]["name"], {"job-name": name}, ("Job", name), days=0.3)
        p["spec"]["restartPolicy"] = "Never"
        p["status"].update(phase="Succeeded", conditions=[{"type": "Ready", "status": "False", "reason": "PodCompleted"}, {"type": "PodScheduled", "status": "True"}])
        p["status"]["containerStatuses"][0].update(ready=False, started=False, state={"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": ago(hours=hours - 0.1)}})

    def hpa(self, ns, name):
        def c(t, r, s="True"):
            return {"type": t, "status": s, "reason": r, "message": "ok", "lastTransitionTime": ago(days=2)}
        self.add("HorizontalPodAutoscaler", "autoscaling/v2", ns, name, {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
                 {"currentReplicas": 2, "desiredReplicas": 2, "conditions": [c("AbleToScale", "ReadyForNewScale"), c("ScalingActive", "ValidMetricFound"), c("ScalingLimited", "DesiredWithinRange", "False")]})


def base_shop():
    c = Cluster(1)
    c.node("worker-1"), c.node("worker-2"), c.node("control-1", "control-plane", [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
    for ns in ("default", "shop", "kube-system"):
        c.add("Namespace", "v1", "", ns, {"finalizers": ["kubernetes"]}, {"phase": "Active"})
    c.add("StorageClass", "storage.k8s.io/v1", "", "standard", provisioner="ebs.csi.example.com", volumeBindingMode="Immediate")
    c.add("IngressClass", "networking.k8s.io/v1", "", "nginx", {"controller": "k8s.io/ingress-nginx"})
    c.deployment("kube-system", "coredns", "registry.example.com/coredns:1.11", ["worker-1", "worker-2"])
    c.deployment("kube-system", "metrics-server", "registry.example.com/metrics-server:0.7", ["worker-1"])
    c.service("kube-system", "metrics-server", {"app": "metrics-server"}, 443)
    c.add("APIService", "apiregistration.k8s.io/v1", "", "v1beta1.metrics.k8s.io", {"service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
          {"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed", "lastTransitionTime": ago(days=3)}]})
    c.deployment("shop", "web", "registry.example.com/shop/web:2.4.1", ["worker-1", "worker-2"])
    c.deployment("shop", "cart", "registry.example.com/shop/cart:1.9.0", ["worker-1", "worker-2"], init="migrate")
    c.deployment("shop", "search", "registry.example.com/shop/search:0.8", ["worker-2"], recorded_rs=False, restarts=4)
    c.service("shop", "web", {"app": "web"}), c.service("shop", "cart", {"app": "cart"}), c.service("shop", "search", {"app": "search"}, target=8080)
    c.pvc("shop", "data-db-0")
    c.add("StatefulSet", "apps/v1", "shop", "db", {"replicas": 1, "serviceName": "db", "template": {"metadata": {"labels": {"app": "db"}}}}, {"replicas": 1, "readyReplicas": 1})
    c.pod("shop", "db-0", "docker.io/library/postgres:16", "worker-1", {"app": "db"}, ("StatefulSet", "db"), 5432, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}])
    c.service("shop", "db", {"app": "db"}, 5432, clusterIP="None")
    c.add("Ingress", "networking.k8s.io/v1", "shop", "shop", {"ingressClassName": "nginx", "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
          "rules": [{"host": "shop.example.com", "http": {"paths": [
              {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
              {"path": "/cart", "pathType": "Prefix", "backend": {"service": {"name": "cart", "port": {"name": "http"}}}}]}}]}, {"loadBalancer": {}})
    c.add("Secret", "v1", "shop", "shop-tls", type="kubernetes.io/tls", data={"tls.crt": certificate(-30, 60), "tls.key": "cHJpdmF0ZQ=="})
    c.add("Secret", "v1", "shop", "db-password", type="Opaque", data={"password": "aHVudGVyMg=="})
    c.add("ConfigMap", "v1", "shop", "cart-config", data={"LOG_LEVEL": "info"})
    c.add("CronJob", "batch/v1", "shop", "backup", {"schedule": "0 2 * * *", "suspend": False}, {"lastScheduleTime": ago(hours=8), "lastSuccessfulTime": ago(hours=7.9)})
    c.job("shop", "backup-32145600", ("CronJob", "backup"))
    c.hpa("shop", "web")
    c.add("ResourceQuota", "v1", "shop", "shop-quota", {"hard": {"pods": "20"}}, {"hard": {"pods": "20"}, "used": {"pods": "7"}})
    c.add("NetworkPolicy", "networking.k8s.io/v1", "shop", "deny-all", {"podSelector": {}, "policyTypes": ["Ingress"]})
    for app in ("web", "cart"):
        c.add("NetworkPolicy", "networking.k8s.io/v1", "shop", f"allow-{app}", {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"namespaceSelector": {}}]}]})
    # Harmless: a pod that was slow to start, and a pull that had to be tried twice.
    c.event(c.pods("shop", "web")[0], "Unhealthy", 'Readiness probe failed: Get "http://10.244.1.7:8080/healthz": dial tcp 10.244.1.7:8080: connect: connection refused', minutes=25, count=2)
    c.event(c.pods("shop", "cart")[0], "Pulled", 'Container image already present on machine', "Normal")
    c.logs["shop_cart-x_cart.log"] = "info: listening on :8080\nerror: upstream refused once, retrying\ninfo: ok\n"
    c.event(c.get("Node", "", "worker-1"), "NodeHasSufficientMemory", "Node worker-1 status is now: NodeHasSufficientMemory", "Normal", 50)
    return c


def base_edge():
    c = Cluster(2)
    c.node("edge-1", "control-plane")
    for ns in ("default", "sensors", "kube-system"):
        c.add("Namespace", "v1", "", ns, {"finalizers": ["kubernetes"]}, {"phase": "Active"})
    c.add("StorageClass", "storage.k8s.io/v1", "", "local-path", provisioner="rancher.io/local-path", volumeBindingMode="WaitForFirstConsumer")
    c.deployment("kube-system", "traefik", "docker.io/library/traefik:2.11", ["edge-1"])
    c.add("DaemonSet", "apps/v1", "sensors", "reader", {"template": {"metadata": {"labels": {"app": "reader"}}}}, {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1})
    c.pod("sensors", "reader-8xk2l", "registry.example.com/reader:5", "edge-1", {"app": "reader"}, ("DaemonSet", "reader"))
    c.deployment("sensors", "mqtt", "docker.io/library/eclipse-mosquitto:2", ["edge-1"], port=1883)
    c.service("sensors", "mqtt", {"app": "mqtt"}, 1883)
    c.service("sensors", "upstream", None, endpoints=False, type="ExternalName", externalName="mqtt.example.com")
    c.service("sensors", "legacy", None)
    c.pvc("sensors", "archive", "local-path", "Pending")
    c.event(c.get("PersistentVolumeClaim", "sensors", "archive"), "WaitForFirstConsumer", "waiting for first consumer to be created before binding", "Normal", 1, 90, "persistentvolume-controller")
    c.pod("sensors", "debug", "docker.io/library/busybox:1.36", "edge-1", {"run": "debug"})
    c.add("CronJob", "batch/v1", "sensors", "compact", {"schedule": "*/30 * * * *", "suspend": False}, {"lastScheduleTime": ago(minutes=30)})
    c.job("sensors", "compact-32146110", ("CronJob", "compact"), hours=0.5)
    done = c.pods("sensors", "mqtt")[0]
    c.event(done, "Scheduled", f"Successfully assigned sensors/{done['metadata']['name']} to edge-1", "Normal", 5, 1, "default-scheduler", new=True)
    return c


def base_data():
    c = Cluster(3)
    for i in range(1, 5):
        c.node(f"ip-10-0-{i}-17", "worker")
    for ns in ("default", "stream", "batch", "cert-manager", "kube-system"):
        c.add("Namespace", "v1", "", ns, {"finalizers": ["kubernetes"]}, {"phase": "Active"})
    c.add("StorageClass", "storage.k8s.io/v1", "", "gp3", provisioner="ebs.csi.aws.com", volumeBindingMode="WaitForFirstConsumer")
    c.deployment("cert-manager", "webhook", "registry.example.com/webhook:1.14", ["ip-10-0-1-17"], port=10250)
    c.service("cert-manager", "webhook", {"app": "webhook"}, 443)
    c.add("StatefulSet", "apps/v1", "stream", "kafka", {"replicas": 3, "serviceName": "kafka", "template": {"metadata": {"labels": {"app": "kafka"}}}}, {"replicas": 3, "readyReplicas": 3})
    for i in range(3):
        c.pvc("stream", f"log-kafka-{i}", "gp3")
        c.pod("stream", f"kafka-{i}", "registry.example.com/kafka:3.7", f"ip-10-0-{i+1}-17", {"app": "kafka"}, ("StatefulSet", "kafka"), 9092, volumes=[{"name": "log", "persistentVolumeClaim": {"claimName": f"log-kafka-{i}"}}])
    c.service("stream", "kafka", {"app": "kafka"}, 9092, clusterIP="None", publishNotReadyAddresses=True)
    c.deployment("stream", "ingest", "registry.example.com/ingest:7", ["ip-10-0-1-17", "ip-10-0-2-17", "ip-10-0-4-17"], init="wait-kafka")
    c.service("stream", "ingest", {"app": "ingest"})
    c.deployment("batch", "scheduler", "registry.example.com/scheduler:2", ["ip-10-0-3-17"], restarts=2)
    c.add("Deployment", "apps/v1", "batch", "old-api", {"replicas": 0, "selector": {"matchLabels": {"app": "old-api"}}, "template": {"metadata": {"labels": {"app": "old-api"}}}},
          {"conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]})
    c.job("batch", "report-2031-03")
    leaving = c.pod("batch", "worker-6d8f7-abcde", "registry.example.com/worker:1", "ip-10-0-3-17", {"app": "worker"})
    leaving["metadata"].update(deletionTimestamp=(NOW + dt.timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ"), deletionGracePeriodSeconds=30)
    c.add("Secret", "v1", "cert-manager", "webhook-ca", type="kubernetes.io/tls", data={"tls.crt": certificate(-100, 3000), "tls.key": "eA=="})
    c.hpa("stream", "ingest")
    c.event(c.pods("stream", "ingest")[1], "FailedScheduling", "0/4 nodes are available: 4 Insufficient cpu. preemption: 0/4 nodes are available: 4 No preemption victims found for incoming pod.", minutes=40, source="default-scheduler", new=True)
    return c


# -- faults ---------------------------------------------------------------------------------------------------------

def cond(o, kind, **k):
    all = o["status"].setdefault("conditions", [])
    one = next((c for c in all if c["type"] == kind), None)
    if one is None:
        one = {"type": kind}
        all.append(one)
    one.update(k, lastTransitionTime=ago(minutes=12))


def unready(c, pod, message=None):
    n = pod["spec"]["containers"][0]["name"]
    for k in ("Ready", "ContainersReady"):
        cond(pod, k, status="False", reason="ContainersNotReady", message=message or f"containers with unready status: [{n}]")
    pod["status"]["containerStatuses"][0].update(ready=False)
    app = pod["metadata"].get("labels", {}).get("app")
    for o in c.objects:
        if o["kind"] == "EndpointSlice" and o["metadata"]["labels"]["kubernetes.io/service-name"] == app:
            o["endpoints"][0]["conditions"]["ready"] = False
        if o["kind"] == "Deployment" and o["metadata"]["name"] == app and o["metadata"]["namespace"] == pod["metadata"]["namespace"]:
            o["status"].update(readyReplicas=0, availableReplicas=0, unavailableReplicas=o["spec"]["replicas"])
            cond(o, "Available", status="False", reason="MinimumReplicasUnavailable", message="Deployment does not have minimum availability.")


def waiting(c, pod, reason, message=None, field="containerStatuses"):
    unready(c, pod)
    st = pod["status"][field][0]
    st.update(ready=False, started=False, state={"waiting": {"reason": reason, **({"message": message} if message else {})}})
    if field == "initContainerStatuses":
        pod["status"]["containerStatuses"][0].update(started=False, state={"waiting": {"reason": "PodInitializing"}})
    if reason in ("ContainerCreating", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "PodInitializing") or field == "initContainerStatuses":
        pod["status"]["phase"] = "Pending"


def crashing(c, pod, code, reason="Error", restarts=6, field="containerStatuses", message=None, log=None):
    n, m = pod["status"][field][0]["name"], pod["metadata"]
    waiting(c, pod, "CrashLoopBackOff", f"back-off 2m40s restarting failed container={n} pod={m['name']}_{m['namespace']}({m['uid']})", field)
    end = {"exitCode": code, "reason": reason, "startedAt": ago(minutes=3), "finishedAt": ago(minutes=2), "containerID": "containerd://1"}
    if message:
        end["message"] = message
    pod["status"][field][0].update(restartCount=restarts, lastState={"terminated": end})
    c.event(pod, "BackOff", f"Back-off restarting failed container {n} in pod {m['name']}_{m['namespace']}({m['uid']})", minutes=1, count=30)
    if log:
        c.logs[f"{m['namespace']}_{m['name']}_{n}.previous.log"] = log


def unscheduled(c, pod, message, new=True):
    pod["spec"].pop("nodeName")
    pod["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": []}
    cond(pod, "PodScheduled", status="False", reason="Unschedulable", message=message)
    pod["metadata"]["creationTimestamp"] = ago(minutes=12)
    c.event(pod, "FailedScheduling", message, minutes=2, source="default-scheduler", new=new)


FAULTS = []


def fault(base, rule, kind, ns, name):
    def keep(f):
        FAULTS.append((f.__name__, base, {"rule": rule, "kind": kind, "namespace": ns, "name": name}, f))
        return f
    return keep


def each(c, ns, app, do):
    for p in c.pods(ns, app + "-"):
        do(p)


@fault("shop", "image-pull", "Deployment", "shop", "web")
def image_tag_missing(c):
    for p in c.pods("shop", "web-"):
        waiting(c, p, "ImagePullBackOff", 'Back-off pulling image "registry.example.com/shop/web:2.4.2"')
        p["spec"]["containers"][0]["image"] = p["status"]["containerStatuses"][0]["image"] = "registry.example.com/shop/web:2.4.2"
        c.event(p, "Failed", 'Failed to pull image "registry.example.com/shop/web:2.4.2": rpc error: code = NotFound desc = failed to pull and unpack image "registry.example.com/shop/web:2.4.2": failed to resolve reference: registry.example.com/shop/web:2.4.2: not found')
        c.event(p, "Failed", "Error: ErrImagePull")
    cond(c.get("Deployment", "shop", "web"), "Progressing", status="False", reason="ProgressDeadlineExceeded", message='ReplicaSet "web-1" has timed out progressing.')


@fault("edge", "image-pull", "DaemonSet", "sensors", "reader")
def image_registry_credentials(c):
    p = c.pods("sensors", "reader")[0]
    waiting(c, p, "ErrImagePull", 'rpc error: code = Unknown desc = failed to pull and unpack image "registry.example.com/reader:5": failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized')


@fault("shop", "crash-loop", "Deployment", "shop", "cart")
def crash_database_refused(c):
    each(c, "shop", "cart", lambda p: crashing(c, p, 1, log="info: cart 1.9.0 starts\ninfo: reading /etc/cart\nFATAL: dial tcp 10.96.3.9:5432: connect: connection refused\n"))


@fault("edge", "crash-loop", "Deployment", "sensors", "mqtt")
def crash_bad_setting(c):
    each(c, "sensors", "mqtt", lambda p: crashing(c, p, 3, log="1930: mosquitto version 2.0.18 starting\n1930: Error: Unknown configuration variable 'lisener'.\n1930: Error found at /mosquitto/config/mosquitto.conf:4.\n"))


@fault("data", "oom-killed", "Deployment", "stream", "ingest")
def oom_limit(c):
    each(c, "stream", "ingest", lambda p: crashing(c, p, 137, "OOMKilled"))


@fault("shop", "oom-killed", "Deployment", "shop", "search")
def oom_now_running(c):
    p = c.pods("shop", "search")[0]
    p["status"]["containerStatuses"][0].update(restartCount=2, state={"running": {"startedAt": ago(minutes=9)}}, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(hours=5), "finishedAt": ago(minutes=9)}})


@fault("data", "liveness-probe", "Deployment", "batch", "scheduler")
def liveness_timeout(c):
    p = c.pods("batch", "scheduler")[0]
    crashing(c, p, 137, "Error", 9)
    c.event(p, "Unhealthy", 'Liveness probe failed: Get "http://10.244.1.7:8080/healthz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)', count=27)
    c.event(p, "Killing", "Container scheduler failed liveness probe, will be restarted", "Normal", count=9)


@fault("shop", "readiness-probe", "Deployment", "shop", "cart")
def readiness_status_503(c):
    for p in c.pods("shop", "cart-"):
        unready(c, p)
        c.event(p, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", count=80, minutes=1)


@fault("edge", "startup-probe", "Deployment", "sensors", "mqtt")
def startup_too_slow(c):
    p = c.pods("sensors", "mqtt")[0]
    unready(c, p)
    p["status"]["containerStatuses"][0].update(started=False, restartCount=3, state={"running": {"startedAt": ago(minutes=1)}}, lastState={"terminated": {"exitCode": 143, "reason": "Error", "finishedAt": ago(minutes=1), "startedAt": ago(minutes=4)}})
    c.event(p, "Unhealthy", "Startup probe failed: dial tcp 10.244.1.7:1883: connect: connection refused", minutes=1)
    c.event(p, "Killing", "Container mqtt failed startup probe, will be restarted", "Normal", minutes=1)


@fault("shop", "init-container", "Deployment", "shop", "cart")
def init_migration_fails(c):
    for p in c.pods("shop", "cart-"):
        crashing(c, p, 2, field="initContainerStatuses", log="migrating to 0042\npq: relation \"carts\" does not exist\nerror: migration 0042 failed\n")


@fault("edge", "image-architecture", "DaemonSet", "sensors", "reader")
def exec_format(c):
    crashing(c, c.pods("sensors", "reader")[0], 255, log="exec /usr/local/bin/reader: exec format error\n")


@fault("data", "missing-reference", "Deployment", "stream", "ingest")
def configmap_missing(c):
    for p in c.pods("stream", "ingest-"):
        waiting(c, p, "CreateContainerConfigError", 'configmap "ingest-settings" not found')
        c.event(p, "Failed", 'Error: configmap "ingest-settings" not found')


@fault("shop", "missing-reference", "StatefulSet", "shop", "db")
def secret_volume_missing(c):
    p = c.pods("shop", "db-0")[0]
    waiting(c, p, "ContainerCreating")
    p["spec"]["volumes"].append({"name": "tls", "secret": {"secretName": "db-tls"}})
    c.event(p, "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "db-tls" not found', count=14)


@fault("data", "missing-reference", "Deployment", "batch", "scheduler")
def secret_key_missing(c):
    p = c.pods("batch", "scheduler")[0]
    waiting(c, p, "CreateContainerConfigError", "couldn't find key token in Secret batch/scheduler-token")


@fault("edge", "container-start", "Pod", "sensors", "debug")
def command_missing(c):
    p = c.get("Pod", "sensors", "debug")
    crashing(c, p, 127, "StartError", message='failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "bash": executable file not found in $PATH: unknown')


@fault("data", "unschedulable-resources", "Deployment", "stream", "ingest")
def pending_cpu(c):
    unscheduled(c, c.pods("stream", "ingest-")[2], "0/4 nodes are available: 4 Insufficient cpu. preemption: 0/4 nodes are available: 4 No preemption victims found for incoming pod.")


@fault("shop", "unschedulable-taint", "Deployment", "shop", "search")
def pending_taint(c):
    for n in ("worker-1", "worker-2"):
        c.get("Node", "", n)["spec"]["taints"] = [{"key": "team", "value": "ml", "effect": "NoSchedule"}]
    unscheduled(c, c.pods("shop", "search-")[0], "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) had untolerated taint {team: ml}. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")


@fault("edge", "unschedulable-affinity", "Deployment", "sensors", "mqtt")
def pending_selector(c):
    p = c.pods("sensors", "mqtt-")[0]
    p["spec"]["nodeSelector"] = {"disk": "ssd"}
    unscheduled(c, p, "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.", new=False)


@fault("shop", "pvc-unbound", "PersistentVolumeClaim", "shop", "data-db-0")
def claim_class_missing(c):
    v = c.get("PersistentVolumeClaim", "shop", "data-db-0")
    v["spec"].update(storageClassName="fast-ssd")
    v["spec"].pop("volumeName")
    v["status"] = {"phase": "Pending"}
    c.drop("PersistentVolume", "", "pvc-data-db-0")
    c.event(v, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast-ssd" not found', source="persistentvolume-controller")
    unscheduled(c, c.pods("shop", "db-0")[0], "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")


@fault("data", "pvc-lost", "PersistentVolumeClaim", "stream", "log-kafka-1")
def claim_lost(c):
    c.get("PersistentVolumeClaim", "stream", "log-kafka-1")["status"]["phase"] = "Lost"
    c.drop("PersistentVolume", "", "pvc-log-kafka-1")


@fault("edge", "host-port-conflict", "Deployment", "kube-system", "traefik")
def host_port(c):
    unscheduled(c, c.pods("kube-system", "traefik-")[0], "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.")


def lose_node(c, name, ready, reason, message):
    n = c.get("Node", "", name)
    cond(n, "Ready", status=ready, reason=reason, message=message)
    for p in c.objects:
        if p["kind"] == "Pod" and p["spec"].get("nodeName") == name and p["status"]["phase"] == "Running":
            cond(p, "Ready", status="False")


@fault("shop", "node-unreachable", "Node", "", "worker-2")
def node_gone(c):
    lose_node(c, "worker-2", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    c.get("Node", "", "worker-2")["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": ago(minutes=10)}]
    p = c.pods("shop", "search-")[0]
    p["metadata"]["deletionTimestamp"] = ago(minutes=5)


@fault("edge", "node-not-ready", "Node", "", "edge-1")
def node_cni(c):
    lose_node(c, "edge-1", "False", "KubeletNotReady", "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized")


@fault("data", "node-pressure", "Node", "", "ip-10-0-3-17")
def node_disk(c):
    n = c.get("Node", "", "ip-10-0-3-17")
    cond(n, "DiskPressure", status="True", reason="KubeletHasDiskPressure", message="kubelet has disk pressure")
    p = c.pods("batch", "scheduler-")[0]
    gone = copy.deepcopy(p)
    gone["metadata"]["name"] += "9"
    gone["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 10120387530, available: 9812344Ki. "}
    c.objects.append(gone)


@fault("data", "node-cordoned", "Node", "", "ip-10-0-2-17")
def node_cordon(c):
    c.get("Node", "", "ip-10-0-2-17")["spec"].update(unschedulable=True, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])


@fault("shop", "evicted", "Deployment", "shop", "search")
def evicted_memory(c):
    p = copy.deepcopy(c.pods("shop", "search-")[0])
    p["metadata"]["name"] += "old"
    p["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 87Mi. Container search was using 900Mi, request is 128Mi, has larger consumption of memory. ", "startTime": ago(minutes=30)}
    c.objects.append(p)


@fault("shop", "service-no-pods", "Service", "shop", "cart")
def service_selector(c):
    c.get("Service", "shop", "cart")["spec"]["selector"] = {"app": "cart", "tier": "backend"}
    c.get("EndpointSlice", "shop", "cart-x7k2p")["endpoints"] = None


@fault("data", "service-port", "Service", "stream", "ingest")
def service_target_name(c):
    c.get("Service", "stream", "ingest")["spec"]["ports"][0]["targetPort"] = "web"
    c.get("EndpointSlice", "stream", "ingest-x7k2p")["ports"] = []


@fault("shop", "certificate-expired", "Secret", "shop", "shop-tls")
def certificate_over(c):
    c.get("Secret", "shop", "shop-tls")["data"]["tls.crt"] = certificate(-91, -1)


@fault("data", "certificate-expiring", "Secret", "cert-manager", "webhook-ca")
def certificate_soon(c):
    c.get("Secret", "cert-manager", "webhook-ca")["data"]["tls.crt"] = certificate(-88, 2)


@fault("shop", "quota-exceeded", "Deployment", "shop", "web")
def quota(c):
    rs = next(o for o in c.objects if o["kind"] == "ReplicaSet" and o["metadata"]["name"].startswith("web-") and o["spec"]["replicas"])
    name = rs["metadata"]["name"]
    m = f'pods "{name}-9jk2l" is forbidden: exceeded quota: shop-quota, requested: pods=1, used: pods=20, limited: pods=20'
    for o in (rs, c.get("Deployment", "shop", "web")):
        o["spec"]["replicas"] = 4
        cond(o, "ReplicaFailure", status="True", reason="FailedCreate", message=m)
    c.event(rs, "FailedCreate", "Error creating: " + m, source="replicaset-controller")
    c.get("ResourceQuota", "shop", "shop-quota")["status"]["used"]["pods"] = "20"


@fault("data", "webhook-failing", "StatefulSet", "stream", "kafka")
def webhook_down(c):
    s = c.get("StatefulSet", "stream", "kafka")
    c.drop("Pod", "stream", "kafka-2")
    s["status"].update(replicas=2, readyReplicas=2)
    c.event(s, "FailedCreate", 'create Pod kafka-2 in StatefulSet kafka failed error: Internal error occurred: failed calling webhook "inject.example.com": failed to call webhook: Post "https://injector.mesh.svc:443/inject?timeout=10s": dial tcp 10.96.7.7:443: connect: connection refused', source="statefulset-controller", count=18)


@fault("shop", "job-failed", "Job", "shop", "backup-32145600")
def job_backoff(c):
    j = c.get("Job", "shop", "backup-32145600")
    j["status"] = {"failed": 7, "startTime": ago(hours=8), "conditions": [{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}, {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit", "lastTransitionTime": ago(hours=7)}]}
    p = c.pods("shop", "backup-")[0]
    p["status"]["phase"] = "Failed"
    p["status"]["containerStatuses"][0]["state"]["terminated"].update(exitCode=1, reason="Error")
    c.logs[f"shop_{p['metadata']['name']}_backup.log"] = "connecting to db\npg_dump: error: connection to server failed: FATAL: password authentication failed for user \"backup\"\n"
    c.event(j, "BackoffLimitExceeded", "Job has reached the specified backoff limit", source="job-controller", minutes=420)


@fault("edge", "cron-missed", "CronJob", "sensors", "compact")
def cron_missed(c):
    o = c.get("CronJob", "sensors", "compact")
    c.event(o, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew", source="cronjob-controller")


@fault("shop", "cron-suspended", "CronJob", "shop", "backup")
def cron_suspended(c):
    c.get("CronJob", "shop", "backup")["spec"]["suspend"] = True


@fault("shop", "api-service-unavailable", "APIService", "", "v1beta1.metrics.k8s.io")
def metrics_api(c):
    cond(c.get("APIService", "", "v1beta1.metrics.k8s.io"), "Available", status="False", reason="FailedDiscoveryCheck", message='failing or missing response from https://10.96.3.4:443/apis/metrics.k8s.io/v1beta1: Get "https://10.96.3.4:443/apis/metrics.k8s.io/v1beta1": dial tcp 10.96.3.4:443: i/o timeout')
    h = c.get("HorizontalPodAutoscaler", "shop", "web")
    cond(h, "ScalingActive", status="False", reason="FailedGetResourceMetric", message="the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)")


@fault("data", "hpa-no-metrics", "HorizontalPodAutoscaler", "stream", "ingest")
def hpa_request(c):
    cond(c.get("HorizontalPodAutoscaler", "stream", "ingest"), "ScalingActive", status="False", reason="FailedGetResourceMetric", message="the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container ingest of Pod ingest-1")


@fault("shop", "ingress-no-service", "Ingress", "shop", "shop")
def ingress_service(c):
    c.get("Ingress", "shop", "shop")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "frontend"


@fault("shop", "ingress-no-port", "Ingress", "shop", "shop")
def ingress_port(c):
    c.get("Ingress", "shop", "shop")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"number": 8443}


@fault("data", "stuck-terminating", "Namespace", "", "batch")
def namespace_finalizer(c):
    n = c.get("Namespace", "", "batch")
    n["metadata"]["deletionTimestamp"] = ago(hours=3)
    n["status"] = {"phase": "Terminating", "conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain", "message": "Some content in the namespace has finalizers remaining: jobs.example.com/cleanup in 1 resource instances"}]}


def merge(old, new):
    """The RFC 7396 patch from old to new."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    patch = {k: None for k in old if k not in new}
    for k, v in new.items():
        if k not in old:
            patch[k] = v
        elif old[k] != v:
            patch[k] = merge(old[k], v)
    return patch


def key(o):
    return f"{o['kind']}/{o['metadata'].get('namespace', '')}/{o['metadata']['name']}"


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    bases = {"shop": base_shop(), "edge": base_edge(), "data": base_data()}
    for name, c in bases.items():
        whole = {"apiVersion": "v1", "kind": "List", "items": c.objects, "logs": c.logs}
        (OUT / f"{name}.json").write_text(json.dumps(whole, separators=(",", ":")).replace('{"apiVersion"', '\n{"apiVersion"') + "\n")
    lines = []
    for name, base, gold, plant in FAULTS:
        c = copy.deepcopy(bases[base])
        plant(c)
        old = {key(o): o for o in bases[base].objects}
        new = {key(o): o for o in c.objects}
        lines.append(json.dumps({
            "fault": name, "base": base, "gold": gold,
            "merge": {k: merge(old[k], o) for k, o in new.items() if k in old and o != old[k]},
            "add": [o for k, o in new.items() if k not in old], "remove": [k for k in old if k not in new],
            "logs": {k: v for k, v in c.logs.items() if bases[base].logs.get(k) != v}}, separators=(",", ":")))
    (OUT / "faults.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(len(FAULTS), "faults")


if __name__ == "__main__":
    main()
