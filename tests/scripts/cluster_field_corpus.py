"""Writes tests/cases/cluster/{bank,lab,field}.json: two healthy but noisy clusters and 24 faults in them.

A second corpus for the cluster doctor, written from the Kubernetes documentation, its sources' messages and public issue
threads without looking at the doctor's rules. The noise is that of clusters in use: finished and once-failed jobs, old
evicted pods, containers that restarted once, a rolling update under way, warnings that are over, native sidecars,
daemon sets that a tainted node does not take, autoscaler events, a paused deployment, services without a selector.
Objects have the fields of `kubectl get -o json`; events come in both forms (counts, and series of events.k8s.io).

`gold` names the rules of which one is right, the object (its kinds), and words that the evidence has to hold.

    python3 tests/scripts/cluster_field_faults.py            # writes it; needs `cryptography`
    python3 tests/scripts/cluster_field_faults.py --check    # holds it against the schemas, needs `kubernetes-validate`
"""
import base64
import datetime as dt
import pathlib
import random

OUT = pathlib.Path(__file__).resolve().parents[1] / "cases" / "cluster"
NOW = dt.datetime(2031, 9, 17, 14, 32, 8, tzinfo=dt.timezone.utc)


def ago(**k):
    return (NOW - dt.timedelta(**k)).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(**k):
    return (NOW - dt.timedelta(**k)).strftime("%Y-%m-%dT%H:%M:%S.482913Z")


OLD = dict(days=63)


class Cluster:
    def __init__(self, seed):
        self.items, self.logs, self.rnd = [], {}, random.Random(seed)

    def uid(self):
        return "%08x-%04x-4%03x-9%03x-%012x" % tuple(self.rnd.getrandbits(n) for n in (32, 16, 12, 12, 48))

    def put(self, api, kind, ns, name, made=None, labels=None, owner=None, annotations=None, **body):
        meta = {"name": name, "uid": self.uid(), "resourceVersion": str(self.rnd.randrange(10**8)), "creationTimestamp": made or ago(**OLD)}
        if ns:
            meta["namespace"] = ns
        if labels:
            meta["labels"] = labels
        if annotations:
            meta["annotations"] = annotations
        if owner:
            meta["ownerReferences"] = [{"apiVersion": owner[0], "kind": owner[1], "name": owner[2], "uid": self.uid(), "controller": True, "blockOwnerDeletion": True}]
        o = {"apiVersion": api, "kind": kind, "metadata": meta, **body}
        self.items.append(o)
        return o

    def get(self, kind, ns, name):
        return next(o for o in self.items if (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) == (kind, ns, name))

    def pods(self, ns, prefix):
        return [o for o in self.items if o["kind"] == "Pod" and o["metadata"].get("namespace") == ns and o["metadata"]["name"].startswith(prefix)]

    def event(self, kind, ns, name, reason, message, type="Warning", count=1, first=dict(minutes=30), last=dict(minutes=1), by="kubelet", host="", path="", series=False):
        about = {"kind": kind, "namespace": ns or "default", "name": name, "apiVersion": "v1", "uid": self.uid()}
        if not ns:
            del about["namespace"]
        if path:
            about["fieldPath"] = path
        e = {"involvedObject": about, "reason": reason, "message": message, "type": type}
        if series:
            # What the events.k8s.io recorder writes: no counts, no first and last time.
            e |= {"eventTime": micro(**first), "reportingComponent": by, "reportingInstance": by + "-0", "action": "Binding" if by == "default-scheduler" else reason,
                  "source": {}, "firstTimestamp": None, "lastTimestamp": None}
            if count > 1:
                e["series"] = {"count": count, "lastObservedTime": micro(**last)}
        else:
            e |= {"eventTime": None, "reportingComponent": by, "reportingInstance": host, "source": {"component": by, **({"host": host} if host else {})},
                  "count": count, "firstTimestamp": ago(**first), "lastTimestamp": ago(**last)}
        self.put("v1", "Event", ns or "default", "%s.%016x" % (name, self.rnd.getrandbits(60)), made=ago(**first), **e)

    def node(self, name, zone=None, labels=None, taints=None, cpu="4", memory="16077576Ki", made=None):
        ok = [("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"), ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
              ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"), ("Ready", "KubeletReady", "kubelet is posting ready status")]
        room = {"cpu": cpu, "memory": memory, "ephemeral-storage": "83873772Ki", "pods": "58"}
        all_labels = {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name} | (labels or {})
        if zone:
            all_labels |= {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": zone[:-1]}
        conditions = [{"type": t, "status": "True" if t == "Ready" else "False", "reason": r, "message": m, "lastHeartbeatTime": ago(seconds=41), "lastTransitionTime": ago(**OLD)} for t, r, m in ok]
        conditions.insert(0, {"type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp", "message": "Calico is running on this node", "lastHeartbeatTime": ago(**OLD), "lastTransitionTime": ago(**OLD)})
        self.put("v1", "Node", "", name, labels=all_labels, made=made, spec={"podCIDR": "10.42.0.0/24", **({"taints": taints} if taints else {})},
                 status={"addresses": [{"type": "InternalIP", "address": "10.20.0.%d" % self.rnd.randrange(2, 250)}, {"type": "Hostname", "address": name}], "allocatable": room, "capacity": room,
                         "conditions": conditions, "nodeInfo": {"architecture": "amd64", "bootID": "b", "containerRuntimeVersion": "containerd://1.7.27", "kernelVersion": "6.1.140", "kubeProxyVersion": "v1.32.4",
                                                               "kubeletVersion": "v1.32.4", "machineID": "m", "operatingSystem": "linux", "osImage": "Linux 2023", "systemUUID": "s"}})

    def namespace(self, name):
        self.put("v1", "Namespace", "", name, labels={"kubernetes.io/metadata.name": name}, spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})

    def status(self, name, image, started=OLD, ready=True, restarts=0, last=None):
        return {"name": name, "image": image, "imageID": image.split(":")[0] + "@sha256:%064x" % self.rnd.getrandbits(256), "containerID": "containerd://%064x" % self.rnd.getrandbits(256), "ready": ready,
                "started": True, "restartCount": restarts, "state": {"running": {"startedAt": ago(**started)}}, "lastState": last or {}}

    def pod(self, ns, name, containers, node, labels, owner, made=OLD, inits=(), tolerations=(), volumes=(), restarts=None, phase="Running"):
        """`containers` and `inits`: (name, image, more of the spec)."""
        always = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                  {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
        spec = {"containers": [{"name": n, "image": i, "imagePullPolicy": "IfNotPresent", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}, **m} for n, i, m in containers], "dnsPolicy": "ClusterFirst",
                "enableServiceLinks": True, "nodeName": node, "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccountName": "default",
                "terminationGracePeriodSeconds": 30, "tolerations": list(tolerations) + always}
        if inits:
            spec["initContainers"] = [{"name": n, "image": i, **m} for n, i, m in inits]
        if volumes:
            spec["volumes"] = list(volumes)
        statuses = []
        for n, i, _ in containers:
            statuses.append(self.status(n, i, made))
        status = {"phase": phase, "qosClass": "Burstable", "hostIP": "10.20.0.9", "podIP": "10.42.1.%d" % self.rnd.randrange(3, 250), "startTime": ago(**made), "conditions": [
            {"type": t, "status": "True", "lastProbeTime": None, "lastTransitionTime": ago(**made)} for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")],
            "containerStatuses": statuses}
        if inits:
            status["initContainerStatuses"] = [
                self.status(n, i, made) if m.get("restartPolicy") == "Always" else
                {**self.status(n, i, made), "started": False, "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": ago(**made), "finishedAt": ago(**made), "containerID": "containerd://i"}}}
                for n, i, m in inits]
        return self.put("v1", "Pod", ns, name, made=ago(**made), labels=labels, owner=owner, spec=spec, status=status)

    def deployment(self, ns, name, containers, nodes, labels=None, revision="7", made=OLD, pods=True, selector=None, **pod):
        labels = labels or {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name}
        hash = "%09x" % self.rnd.getrandbits(36)
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": n, "image": i, **m} for n, i, m in containers]}}
        n = len(nodes)
        good = [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability.", "lastTransitionTime": ago(**OLD), "lastUpdateTime": ago(**OLD)},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": 'ReplicaSet "%s-%s" has successfully progressed.' % (name, hash), "lastTransitionTime": ago(**OLD), "lastUpdateTime": ago(**made)}]
        self.put("apps/v1", "Deployment", ns, name, labels=labels, annotations={"deployment.kubernetes.io/revision": revision, "meta.helm.sh/release-name": name}, spec={
            "replicas": n, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, "selector": {"matchLabels": selector or labels}, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}, "template": template},
            status={"observedGeneration": 7, "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n, "conditions": good})
        # An older revision that history keeps, at nought.
        self.put("apps/v1", "ReplicaSet", ns, "%s-%09x" % (name, self.rnd.getrandbits(36)), labels=labels, owner=("apps/v1", "Deployment", name), annotations={"deployment.kubernetes.io/revision": "1"},
                 spec={"replicas": 0, "selector": {"matchLabels": labels}, "template": template}, status={"replicas": 0, "observedGeneration": 2})
        self.put("apps/v1", "ReplicaSet", ns, "%s-%s" % (name, hash), labels=labels, owner=("apps/v1", "Deployment", name), annotations={"deployment.kubernetes.io/revision": revision}, made=ago(**made),
                 spec={"replicas": n, "selector": {"matchLabels": labels}, "template": template}, status={"replicas": n, "readyReplicas": n, "availableReplicas": n, "fullyLabeledReplicas": n, "observedGeneration": 1})
        for node in nodes:
            self.pod(ns, "%s-%s-%s" % (name, hash, "".join(self.rnd.choices("bcdfghjklmnpqrstvwxz2456789", k=5))), containers, node, labels | {"pod-template-hash": hash}, ("apps/v1", "ReplicaSet", "%s-%s" % (name, hash)), made=made, **pod)
        return hash

    def daemonset(self, ns, name, containers, nodes, labels=None, **pod):
        labels, n = labels or {"app": name}, len(nodes)
        self.put("apps/v1", "DaemonSet", ns, name, labels=labels, spec={"selector": {"matchLabels": labels}, "updateStrategy": {"type": "RollingUpdate"}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": a, "image": b} for a, b, _ in containers]}}},
                 status={"currentNumberScheduled": n, "desiredNumberScheduled": n, "numberAvailable": n, "numberReady": n, "numberMisscheduled": 0, "updatedNumberScheduled": n, "observedGeneration": 3})
        for node in nodes:
            self.pod(ns, "%s-%s" % (name, "".join(self.rnd.choices("bcdfghjklmnpqrstvwxz2456789", k=5))), containers, node, labels | {"controller-revision-hash": "5d8f9b"}, ("apps/v1", "DaemonSet", name), **pod)

    def statefulset(self, ns, name, containers, nodes, claim=None, storage="gp3", zone=None, **pod):
        labels, n = {"app.kubernetes.io/name": name}, len(nodes)
        self.put("apps/v1", "StatefulSet", ns, name, labels=labels, spec={"replicas": n, "serviceName": name, "podManagementPolicy": "OrderedReady", "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": a, "image": b} for a, b, _ in containers]}}},
                 status={"replicas": n, "readyReplicas": n, "availableReplicas": n, "currentReplicas": n, "updatedReplicas": n, "currentRevision": name + "-6bd9", "updateRevision": name + "-6bd9", "collisionCount": 0, "observedGeneration": 2})
        for index, node in enumerate(nodes):
            volumes = ()
            if claim:
                pvc, pv = "%s-%s-%d" % (claim, name, index), "pvc-" + self.uid()
                volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": pvc}}]
                self.put("v1", "PersistentVolumeClaim", ns, pvc, labels=labels, spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}, "storageClassName": storage, "volumeMode": "Filesystem", "volumeName": pv},
                         status={"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}})
                self.put("v1", "PersistentVolume", "", pv, spec={"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}, "claimRef": {"kind": "PersistentVolumeClaim", "namespace": ns, "name": pvc}, "csi": {"driver": "ebs.csi.example", "volumeHandle": "vol-%017x" % self.rnd.getrandbits(64)},
                         "persistentVolumeReclaimPolicy": "Delete", "storageClassName": storage, "volumeMode": "Filesystem",
                         **({"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}]}}} if zone else {})}, status={"phase": "Bound"})
            self.pod(ns, "%s-%d" % (name, index), containers, node, labels | {"statefulset.kubernetes.io/pod-name": "%s-%d" % (name, index), "controller-revision-hash": name + "-6bd9"}, ("apps/v1", "StatefulSet", name), volumes=volumes, **pod)

    def service(self, ns, name, selector, port=80, target="http", type="ClusterIP", ready=(), manual=None, headless=False, more=None):
        spec = {"type": type, "clusterIP": "None" if headless else "172.20.%d.%d" % (self.rnd.randrange(255), self.rnd.randrange(1, 255)), "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": target}], "sessionAffinity": "None"}
        if selector:
            spec["selector"] = selector
        self.put("v1", "Service", ns, name, spec=spec | (more or {}), status={"loadBalancer": {"ingress": [{"hostname": "a1b2c3.elb.example.com"}]} if type == "LoadBalancer" else {}})
        if type == "ExternalName":
            return
        points = [{"addresses": [manual], "conditions": {"ready": True}}] if manual else [
            {"addresses": [p["status"]["podIP"]], "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": p["spec"]["nodeName"], "targetRef": {"kind": "Pod", "namespace": ns, "name": p["metadata"]["name"], "uid": p["metadata"]["uid"]}} for p in ready]
        self.put("discovery.k8s.io/v1", "EndpointSlice", ns, name + "-%05x" % self.rnd.getrandbits(20), labels={"kubernetes.io/service-name": name}, addressType="IPv4", endpoints=points, ports=[{"name": "http", "port": 8080, "protocol": "TCP"}])

    def job(self, ns, name, done=True, cron=None, made=dict(hours=9), failed_before=0, image="registry.example.com/ops/tools:5"):
        labels = {"batch.kubernetes.io/job-name": name, "job-name": name}
        finished = dict(made)
        status = {"startTime": ago(**made), "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}, "failed": failed_before} | (
            {"succeeded": 1, "completionTime": ago(**finished), "conditions": [{"type": t, "status": "True", "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods", "lastProbeTime": ago(**finished), "lastTransitionTime": ago(**finished)} for t in ("SuccessCriteriaMet", "Complete")]} if done else {"active": 1})
        self.put("batch/v1", "Job", ns, name, made=ago(**made), labels=labels, owner=cron and ("batch/v1", "CronJob", cron), spec={"backoffLimit": 6, "completions": 1, "parallelism": 1, "completionMode": "NonIndexed", "suspend": False, "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                 "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}}}, status=status)
        for attempt in range(failed_before + 1):
            bad = attempt < failed_before
            pod = self.pod(ns, name + "-" + "".join(self.rnd.choices("bcdfghjklmnpqrstvwxz2456789", k=5)), [("main", image, {})], self.first, labels, ("batch/v1", "Job", name), made=made, phase="Failed" if bad else "Succeeded")
            pod["spec"]["restartPolicy"] = "Never"
            pod["status"]["containerStatuses"][0] |= {"ready": False, "started": False, "state": {"terminated": {"exitCode": 1 if bad else 0, "reason": "Error" if bad else "Completed", "startedAt": ago(**made), "finishedAt": ago(**made), "containerID": "containerd://j"}}}
            for c in pod["status"]["conditions"]:
                if c["type"] in ("Ready", "ContainersReady"):
                    c |= {"status": "False", "reason": "PodFailed" if bad else "PodCompleted"}


def certificates(spans):
    """A PEM chain, one certificate for each (days from, days to)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    pem = b""
    for index, (since, until) in enumerate(spans):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.bank.example" if index == 0 else "Bank Intermediate CA")])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bank Intermediate CA")])
        pem += (x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key()).serial_number(81 + index).not_valid_before(NOW + dt.timedelta(days=since))
                .not_valid_after(NOW + dt.timedelta(days=until)).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return base64.b64encode(pem).decode()


def unready(pod, waiting=None, message=None, scheduled=True, restarts=0, last=None, container=0, init=None):
    """The pod's main container waits."""
    status = pod["status"]
    status["phase"] = "Pending" if not scheduled or (waiting and "Crash" not in waiting and not restarts) else "Running"
    name = pod["spec"]["containers"][container]["name"]
    for c in status["conditions"]:
        if c["type"] in ("Ready", "ContainersReady"):
            c |= {"status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [%s]" % name, "lastTransitionTime": ago(minutes=26)}
    if waiting:
        status["containerStatuses"][container] |= {"ready": False, "started": False, "restartCount": restarts, "state": {"waiting": {"reason": waiting, **({"message": message} if message else {})}}, "lastState": last or {}}


def down(c, kind, ns, name, ready=0, reason=None, message=None):
    """What a deployment or stateful set shows when its pods are not ready."""
    o = c.get(kind, ns, name)
    n = o["spec"]["replicas"]
    o["status"] |= {"readyReplicas": ready, "availableReplicas": ready}
    if not ready:
        o["status"].pop("readyReplicas"), o["status"].pop("availableReplicas")
    if kind == "Deployment":
        o["status"]["unavailableReplicas"] = n - ready
        for x in o["status"]["conditions"]:
            if x["type"] == "Available" and not ready:
                x |= {"status": "False", "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability.", "lastTransitionTime": ago(minutes=26)}
    addresses = {p["status"].get("podIP") for p in c.pods(ns, name) if not any(x["type"] == "Ready" and x["status"] == "True" for x in p["status"].get("conditions", ()))}
    for s in c.items:
        if s["kind"] == "EndpointSlice" and s["metadata"]["namespace"] == ns:
            for e in s["endpoints"] or ():
                if e["addresses"][0] in addresses:
                    e["conditions"] |= {"ready": False, "serving": False}


def died(code, reason="Error", **more):
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": ago(minutes=4), "finishedAt": ago(minutes=3), "containerID": "containerd://x", **more}}


def unscheduled(c, pod, message, count=9):
    status = pod["status"]
    del pod["spec"]["nodeName"]
    address = status["podIP"]
    pod["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastProbeTime": None, "lastTransitionTime": ago(minutes=31)}]}
    pod["metadata"]["creationTimestamp"] = ago(minutes=31)
    c.event("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], "FailedScheduling", message, by="default-scheduler", series=True, count=count, first=dict(minutes=31), last=dict(minutes=1))
    for s in c.items:
        if s["kind"] == "EndpointSlice":
            s["endpoints"] = [e for e in s["endpoints"] if e["addresses"] != [address]]


def creating(c, pod, reason, message, count=12, **k):
    unready(pod, "ContainerCreating")
    pod["status"]["containerStatuses"][0]["imageID"] = ""
    pod["metadata"]["creationTimestamp"] = ago(minutes=33)
    pod["status"]["startTime"] = ago(minutes=33)
    c.event("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], reason, message, count=count, first=dict(minutes=32), last=dict(minutes=1), host=pod["spec"]["nodeName"], **k)


def bank():
    """A managed cluster: three zones, a tainted GPU node, an update of `ledger` under way."""
    c = Cluster(20311)
    c.first = "ip-10-20-1-11.ec2.internal"
    nodes = [c.first, "ip-10-20-2-12.ec2.internal", "ip-10-20-3-13.ec2.internal"]
    for node, zone in zip(nodes, "abc"):
        c.node(node, "eu-central-1" + zone)
    c.node("ip-10-20-1-90.ec2.internal", "eu-central-1a", taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}], made=ago(minutes=9))
    c.event("Node", "", "ip-10-20-1-90.ec2.internal", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem", first=dict(minutes=9), last=dict(minutes=9))
    c.event("Node", "", "ip-10-20-1-90.ec2.internal", "NodeReady", "Node ip-10-20-1-90.ec2.internal status is now: NodeReady", type="Normal", first=dict(minutes=8), last=dict(minutes=8))
    for ns in ("default", "kube-system", "kube-public", "kube-node-lease", "payments", "monitoring", "ingress"):
        c.namespace(ns)
    for name, default in (("gp2", "false"), ("gp3", "true")):
        c.put("storage.k8s.io/v1", "StorageClass", "", name, annotations={"storageclass.kubernetes.io/is-default-class": default}, provisioner="ebs.csi.example", reclaimPolicy="Delete", volumeBindingMode="WaitForFirstConsumer", allowVolumeExpansion=True)
    c.deployment("kube-system", "coredns", [("coredns", "registry.example.com/coredns:1.11.4", {})], nodes[:2], labels={"k8s-app": "kube-dns"})
    c.service("kube-system", "kube-dns", {"k8s-app": "kube-dns"}, 53, 53, ready=c.pods("kube-system", "coredns"))
    c.daemonset("kube-system", "aws-node", [("aws-node", "registry.example.com/cni:1.19", {})], nodes + ["ip-10-20-1-90.ec2.internal"], inits=[("install", "registry.example.com/cni-init:1.19", {})], tolerations=[{"operator": "Exists"}])
    # The agent tolerates no GPU taint: three pods on four nodes are what it wants.
    c.daemonset("monitoring", "log-agent", [("agent", "registry.example.com/vector:0.41", {})], nodes)
    restarted = c.pods("monitoring", "log-agent")[1]["status"]["containerStatuses"][0]
    restarted |= {"restartCount": 1, "lastState": {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": ago(days=20), "finishedAt": ago(days=12), "containerID": "containerd://l"}}, "state": {"running": {"startedAt": ago(days=12)}}}
    c.statefulset("monitoring", "prometheus", [("prometheus", "registry.example.com/prometheus:3.1", {}), ("reloader", "registry.example.com/reloader:0.80", {})], nodes[1:2], claim="tsdb", zone="eu-central-1b")
    c.service("monitoring", "prometheus", {"app.kubernetes.io/name": "prometheus"}, 9090, 9090, headless=True, ready=c.pods("monitoring", "prometheus"))
    c.event("Pod", "monitoring", "prometheus-0", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", first=dict(minutes=47), last=dict(minutes=46), count=3, host=nodes[1])
    c.deployment("ingress", "nginx", [("controller", "registry.example.com/ingress-nginx:1.12", {"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 443, "name": "https"}]})], nodes[:2])
    c.service("ingress", "nginx", {"app.kubernetes.io/name": "nginx"}, 80, "http", type="LoadBalancer", ready=c.pods("ingress", "nginx"))
    c.put("networking.k8s.io/v1", "IngressClass", "", "nginx", spec={"controller": "k8s.io/ingress-nginx"})
    web = [("api", "registry.example.com/payments/api:41", {"ports": [{"containerPort": 8080, "name": "http"}], "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}})]
    c.deployment("payments", "api", web, nodes)
    c.service("payments", "api", {"app.kubernetes.io/name": "api"}, ready=c.pods("payments", "api"))
    c.put("networking.k8s.io/v1", "Ingress", "payments", "api", spec={"ingressClassName": "nginx", "rules": [{"host": "api.bank.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}}]}}], "tls": [{"hosts": ["api.bank.example"], "secretName": "api-tls"}]},
          status={"loadBalancer": {"ingress": [{"hostname": "a1b2c3.elb.example.com"}]}})
    c.put("v1", "Secret", "payments", "api-tls", type="kubernetes.io/tls", data={"tls.crt": certificates([(-20, 70), (-400, 1400)]), "tls.key": base64.b64encode(b"PRIVATE").decode()})
    # An update one minute old: three old pods serve, the first new one pulls its image.
    old = c.deployment("payments", "ledger", [("ledger", "registry.example.com/payments/ledger:88", {"ports": [{"containerPort": 8080, "name": "http"}]})], nodes)
    c.service("payments", "ledger", {"app.kubernetes.io/name": "ledger"}, ready=c.pods("payments", "ledger"))
    labels = {"app.kubernetes.io/name": "ledger", "app.kubernetes.io/instance": "ledger"}
    c.put("apps/v1", "ReplicaSet", "payments", "ledger-7c9d5f6b8", labels=labels, owner=("apps/v1", "Deployment", "ledger"), made=ago(seconds=50), spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "ledger", "image": "registry.example.com/payments/ledger:89"}]}}}, status={"replicas": 1, "fullyLabeledReplicas": 1, "observedGeneration": 1})
    fresh = c.pod("payments", "ledger-7c9d5f6b8-m4x2q", [("ledger", "registry.example.com/payments/ledger:89", {"ports": [{"containerPort": 8080, "name": "http"}]})], nodes[0], labels | {"pod-template-hash": "7c9d5f6b8"}, ("apps/v1", "ReplicaSet", "ledger-7c9d5f6b8"), made=dict(seconds=50))
    unready(fresh, "ContainerCreating")
    for x in fresh["status"]["conditions"]:
        x["lastTransitionTime"] = ago(seconds=50)
    d = c.get("Deployment", "payments", "ledger")
    d["status"] |= {"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3, "unavailableReplicas": 1}
    d["status"]["conditions"][1] |= {"reason": "ReplicaSetUpdated", "message": 'ReplicaSet "ledger-7c9d5f6b8" is progressing.', "lastUpdateTime": ago(seconds=50)}
    c.event("Pod", "payments", "ledger-7c9d5f6b8-m4x2q", "FailedScheduling", "0/4 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: true}, 3 Insufficient cpu. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.", by="default-scheduler", series=True, first=dict(seconds=50), last=dict(seconds=50))
    c.event("Pod", "payments", "ledger-7c9d5f6b8-m4x2q", "Scheduled", "Successfully assigned payments/ledger-7c9d5f6b8-m4x2q to " + nodes[0], type="Normal", by="default-scheduler", series=True, first=dict(seconds=40), last=dict(seconds=40))
    c.event("Pod", "payments", "ledger-7c9d5f6b8-m4x2q", "Pulling", 'Pulling image "registry.example.com/payments/ledger:89"', type="Normal", first=dict(seconds=38), last=dict(seconds=38), host=nodes[0])
    c.put("autoscaling/v2", "HorizontalPodAutoscaler", "payments", "api", spec={"minReplicas": 3, "maxReplicas": 12, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]},
          status={"currentReplicas": 3, "desiredReplicas": 3, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "12m"}}}], "conditions": [
              {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "recommended size matches current size", "lastTransitionTime": ago(**OLD)},
              {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)", "lastTransitionTime": ago(hours=5)},
              {"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas", "message": "the desired replica count is less than the minimum replica count", "lastTransitionTime": ago(hours=5)}]})
    c.event("HorizontalPodAutoscaler", "payments", "api", "FailedGetResourceMetric", "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)", first=dict(minutes=58), last=dict(minutes=52), count=4, by="horizontal-pod-autoscaler")
    c.event("HorizontalPodAutoscaler", "payments", "api", "SuccessfulRescale", "New size: 3; reason: All metrics below target", type="Normal", first=dict(minutes=49), last=dict(minutes=49), by="horizontal-pod-autoscaler")
    c.statefulset("payments", "ledger-db", [("postgres", "registry.example.com/postgres:17", {})], nodes[:1], claim="data", zone="eu-central-1a",
                  inits=[("tune", "registry.example.com/tune:2", {}), ("wal-shipper", "registry.example.com/wal:9", {"restartPolicy": "Always"})])
    c.service("payments", "ledger-db", {"app.kubernetes.io/name": "ledger-db"}, 5432, 5432, headless=True, ready=c.pods("payments", "ledger-db"))
    c.service("payments", "core-banking", None, 443, 443, manual="10.90.4.7")
    c.service("payments", "rates", None, type="ExternalName", more={"externalName": "rates.example.com"})
    c.put("batch/v1", "CronJob", "payments", "settle", spec={"schedule": "0 */6 * * *", "concurrencyPolicy": "Forbid", "suspend": False, "failedJobsHistoryLimit": 1, "successfulJobsHistoryLimit": 3, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example.com/ops/tools:5"}]}}}}},
          status={"lastScheduleTime": ago(hours=2, minutes=32), "lastSuccessfulTime": ago(hours=2, minutes=31)})
    # One run needed two attempts; it came through.
    c.job("payments", "settle-32459400", cron="settle", made=dict(hours=8, minutes=32), failed_before=1)
    c.job("payments", "settle-32459760", cron="settle", made=dict(hours=2, minutes=32))
    # Evicted a week ago and never cleaned up; its deployment is whole.
    gone = c.pod("payments", "api-5f8b56c8f-6xcjp", web, nodes[2], {"app.kubernetes.io/name": "api", "app.kubernetes.io/instance": "api", "pod-template-hash": "5f8b56c8f"}, ("apps/v1", "ReplicaSet", "api-5f8b56c8f"), made=dict(days=9), phase="Failed")
    gone["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 91496Ki. ", "startTime": ago(days=9), "qosClass": "Burstable", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "The node was low on resource: memory.", "lastTransitionTime": ago(days=7), "lastProbeTime": None}]}
    c.put("policy/v1", "PodDisruptionBudget", "payments", "ledger-db", spec={"maxUnavailable": 0, "selector": {"matchLabels": {"app.kubernetes.io/name": "ledger-db"}}}, status={"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1, "observedGeneration": 1})
    return c


def lab():
    """Machines under a desk: a tainted control plane, a paused deployment, a learning job at work."""
    c = Cluster(20312)
    c.first = "wk-1"
    c.node("cp-1", labels={"node-role.kubernetes.io/control-plane": ""}, taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
    c.node("wk-1", memory="65831540Ki", cpu="16")
    c.node("wk-2", memory="65831540Ki", cpu="16")
    for ns in ("default", "kube-system", "ml", "forge", "storage"):
        c.namespace(ns)
    c.put("storage.k8s.io/v1", "StorageClass", "", "longhorn", annotations={"storageclass.kubernetes.io/is-default-class": "true"}, provisioner="driver.longhorn.example", reclaimPolicy="Delete", volumeBindingMode="Immediate")
    c.put("storage.k8s.io/v1", "StorageClass", "", "nfs", provisioner="nfs.csi.example", reclaimPolicy="Retain", volumeBindingMode="Immediate")
    for part in ("kube-apiserver", "kube-scheduler", "kube-controller-manager", "etcd"):
        pod = c.pod("kube-system", part + "-cp-1", [(part, "registry.example.com/%s:v1.32.4" % part, {})], "cp-1", {"component": part, "tier": "control-plane"}, ("v1", "Node", "cp-1"), tolerations=[{"operator": "Exists", "effect": "NoExecute"}])
        # The machine was booted ten days ago.
        pod["status"]["containerStatuses"][0] |= {"restartCount": 3, "state": {"running": {"startedAt": ago(days=10)}}, "lastState": {"terminated": {"exitCode": 255, "reason": "Unknown", "startedAt": ago(days=40), "finishedAt": ago(days=10), "containerID": "containerd://b"}}}
    c.deployment("kube-system", "coredns", [("coredns", "registry.example.com/coredns:1.11.3", {})], ["cp-1", "wk-1"], labels={"k8s-app": "kube-dns"})
    c.service("kube-system", "kube-dns", {"k8s-app": "kube-dns"}, 53, 53, ready=c.pods("kube-system", "coredns"))
    c.event("Pod", "kube-system", c.pods("kube-system", "coredns")[0]["metadata"]["name"], "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.0.0.1 10.0.0.2 10.0.0.3", count=21755, first=dict(days=10), last=dict(minutes=2), host="cp-1")
    c.daemonset("storage", "longhorn-manager", [("manager", "registry.example.com/longhorn:1.8", {})], ["wk-1", "wk-2"])
    c.daemonset("kube-system", "calico-node", [("calico-node", "registry.example.com/calico:3.29", {})], ["cp-1", "wk-1", "wk-2"], tolerations=[{"operator": "Exists"}])
    c.event("Pod", "kube-system", c.pods("kube-system", "calico-node")[2]["metadata"]["name"], "Unhealthy", "Readiness probe failed: command timed out: \"/bin/calico-node -felix-ready -bird-ready\" timed out after 10s", first=dict(minutes=51), last=dict(minutes=22), count=2, host="wk-2")
    app = [("web", "registry.example.com/forge/web:17.8", {"ports": [{"containerPort": 8181, "name": "http"}], "livenessProbe": {"httpGet": {"path": "/-/live", "port": "http"}}})]
    c.deployment("forge", "web", app, ["wk-1", "wk-2"], inits=[("wait-for-db", "registry.example.com/busybox:1.37", {})])
    c.service("forge", "web", {"app.kubernetes.io/name": "web"}, ready=c.pods("forge", "web"))
    c.statefulset("forge", "db", [("postgres", "registry.example.com/postgres:16", {})], ["wk-2"], claim="data", storage="longhorn")
    c.service("forge", "db", {"app.kubernetes.io/name": "db"}, 5432, 5432, headless=True, ready=c.pods("forge", "db"))
    c.deployment("forge", "runner", [("runner", "registry.example.com/forge/runner:17.8", {})], ["wk-1"])
    # Paused by hand in the middle of nothing: whole.
    d = c.get("Deployment", "forge", "runner")
    d["spec"]["paused"] = True
    d["status"]["conditions"][1] |= {"status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused", "lastTransitionTime": ago(days=3)}
    c.job("forge", "web-migrate-188", made=dict(days=2))
    c.deployment("ml", "notebook", [("notebook", "registry.example.com/jupyter:4", {})], ["wk-2"])
    c.service("ml", "notebook", {"app.kubernetes.io/name": "notebook"}, 8888, 8888, ready=c.pods("ml", "notebook"))
    # At work for two hours now.
    c.job("ml", "train-resnet", done=False, made=dict(hours=2))
    p = c.pods("ml", "train-resnet")[0]
    p["status"]["phase"] = "Running"
    p["status"]["containerStatuses"][0] |= {"ready": True, "started": True, "state": {"running": {"startedAt": ago(hours=2)}}}
    for x in p["status"]["conditions"]:
        x.pop("reason", None)
        x["status"] = "True"
    c.get("Job", "ml", "train-resnet")["status"] |= {"ready": 1}
    # A claim that was retained by hand, and a volume that was released with it.
    c.put("v1", "PersistentVolume", "", "pv-scratch-old", spec={"accessModes": ["ReadWriteMany"], "capacity": {"storage": "500Gi"}, "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "ml", "name": "scratch-2029"}, "nfs": {"server": "10.0.0.8", "path": "/scratch"}, "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "nfs"}, status={"phase": "Released"})
    c.put("v1", "PersistentVolumeClaim", "ml", "datasets", spec={"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}, "storageClassName": "nfs", "volumeMode": "Filesystem", "volumeName": "pv-datasets"}, status={"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Ti"}})
    c.put("v1", "PersistentVolume", "", "pv-datasets", spec={"accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Ti"}, "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "ml", "name": "datasets"}, "nfs": {"server": "10.0.0.8", "path": "/datasets"}, "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "nfs"}, status={"phase": "Bound"})
    # A pod that was asked to go twenty seconds ago.
    leaving = c.pod("ml", "scratchpad", [("sh", "registry.example.com/busybox:1.37", {})], "wk-1", {"run": "scratchpad"}, None, made=dict(hours=1))
    leaving["metadata"] |= {"deletionTimestamp": (NOW + dt.timedelta(seconds=10)).strftime("%Y-%m-%dT%H:%M:%SZ"), "deletionGracePeriodSeconds": 30}
    c.event("Pod", "ml", "scratchpad", "Killing", "Stopping container sh", type="Normal", first=dict(seconds=20), last=dict(seconds=20), host="wk-1")
    return c
