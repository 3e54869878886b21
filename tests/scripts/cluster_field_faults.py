"""The 24 faults of cluster_field_corpus.py, each planted in a noisy healthy cluster; `gold` was written before any rule was read.

    python3 tests/scripts/cluster_field_faults.py            # writes bank.json, lab.json and field.json
    python3 tests/scripts/cluster_field_faults.py --check    # holds every object against the schemas of Kubernetes 1.32
"""
import base64
import copy
import json
import sys

from cluster_field_corpus import OUT, ago, bank, certificates, creating, died, down, lab, unready, unscheduled

FAULTS = []


def fault(base, rules, kinds, ns, name, holds):
    """`rules`: any of these is right; `holds`: words that some piece of evidence has to hold."""
    def take(change):
        c = base()
        before = copy.deepcopy(c.items)
        change(c)
        FAULTS.append((change.__name__, base.__name__, {"rules": rules, "kinds": kinds, "namespace": ns, "name": name, "holds": holds}, before, c))
    return take


def backoff(pod, container="api"):
    m = pod["metadata"]
    return "back-off 5m0s restarting failed container=%s pod=%s_%s(%s)" % (container, m["name"], m["namespace"], m["uid"])


@fault(bank, ["container-start", "missing-reference"], ["Deployment"], "payments", "api", "runAsNonRoot")
def run_as_non_root(c):
    for p in c.pods("payments", "api-")[:3]:
        why = 'container has runAsNonRoot and image will run as root (pod: "%s_payments(%s)", container: api)' % (p["metadata"]["name"], p["metadata"]["uid"])
        unready(p, "CreateContainerConfigError", why)
        c.event("Pod", "payments", p["metadata"]["name"], "Failed", "Error: " + why, count=11, path="spec.containers{api}")
    down(c, "Deployment", "payments", "api")


@fault(lab, ["image-pull"], ["Job", "CronJob"], "ml", "train-resnet", "toomanyrequests")
def pull_rate_limit(c):
    p = c.pods("ml", "train-resnet")[0]
    unready(p, "ImagePullBackOff", 'Back-off pulling image "docker.io/pytorch/pytorch:2.9.0": ErrImagePull: failed to pull and unpack image')
    p["spec"]["containers"][0]["image"] = p["status"]["containerStatuses"][0]["image"] = "docker.io/pytorch/pytorch:2.9.0"
    p["status"]["phase"] = "Pending"
    c.event("Pod", "ml", p["metadata"]["name"], "Failed", 'Failed to pull image "docker.io/pytorch/pytorch:2.9.0": failed to pull and unpack image "docker.io/pytorch/pytorch:2.9.0": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/pytorch/pytorch/manifests/sha256:1f: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.', count=5, host="wk-1")
    c.get("Job", "ml", "train-resnet")["status"] |= {"ready": 0}


@fault(bank, ["image-pull"], ["DaemonSet"], "monitoring", "log-agent", "couldn't parse image name")
def image_name_invalid(c):
    for p in c.pods("monitoring", "log-agent"):
        why = 'Failed to apply default image tag "registry.example.com/Vector:0.42": couldn\'t parse image name "registry.example.com/Vector:0.42": invalid reference format: repository name (Vector) must be lowercase'
        unready(p, "InvalidImageName", why)
        p["status"]["containerStatuses"][0] |= {"imageID": "", "image": "registry.example.com/Vector:0.42"}
        p["spec"]["containers"][0]["image"] = "registry.example.com/Vector:0.42"
        c.event("Pod", "monitoring", p["metadata"]["name"], "InspectFailed", why, count=44, host=p["spec"]["nodeName"])
    c.get("DaemonSet", "monitoring", "log-agent")["status"] |= {"numberReady": 0, "numberAvailable": 0, "numberUnavailable": 3}


@fault(bank, ["crash-loop", "init-container"], ["StatefulSet"], "payments", "ledger-db", "certificate signed by unknown authority")
def native_sidecar_crashes(c):
    p = c.pods("payments", "ledger-db")[0]
    p["status"]["initContainerStatuses"][1] |= {"ready": False, "started": False, "restartCount": 19, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": backoff(p, "wal-shipper")}}, "lastState": died(2)}
    c.event("Pod", "payments", "ledger-db-0", "BackOff", "Back-off restarting failed container wal-shipper in pod ledger-db-0_payments", count=311, path="spec.initContainers{wal-shipper}")
    c.logs["payments_ledger-db-0_wal-shipper.previous.log"] = "time=14:28:51 level=info msg=\"wal-shipper 9.0.2\"\ntime=14:28:52 level=error msg=\"push segment 0000000100000012\" err=\"Put https://archive.bank.example: tls: failed to verify certificate: x509: certificate signed by unknown authority\"\n"
    for x in p["status"]["conditions"]:
        if x["type"] in ("Ready", "ContainersReady", "Initialized"):
            x |= {"status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [wal-shipper]", "lastTransitionTime": ago(hours=1)}
    down(c, "StatefulSet", "payments", "ledger-db")


@fault(bank, ["unschedulable-volume"], ["StatefulSet"], "monitoring", "prometheus", "volume node affinity conflict")
def volume_in_another_zone(c):
    unscheduled(c, c.pods("monitoring", "prometheus")[0], "0/3 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: true}, 2 node(s) had volume node affinity conflict. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")
    c.items = [o for o in c.items if o["metadata"]["name"] != "ip-10-20-2-12.ec2.internal" and o.get("spec", {}).get("nodeName") != "ip-10-20-2-12.ec2.internal" or o["metadata"].get("namespace") == "monitoring" and o["kind"] != "Pod"]
    for ns, name, n in (("kube-system", "aws-node", 3), ("monitoring", "log-agent", 2)):
        c.get("DaemonSet", ns, name)["status"] |= {k: n for k in ("currentNumberScheduled", "desiredNumberScheduled", "numberAvailable", "numberReady", "updatedNumberScheduled")}
    for ns, name in (("kube-system", "coredns"), ("ingress", "nginx"), ("payments", "api"), ("payments", "ledger")):
        d = c.get("Deployment", ns, name)
        n = d["spec"]["replicas"] - 1
        d["spec"]["replicas"] = n
        d["status"] |= {"replicas": n + (name == "ledger"), "readyReplicas": n, "availableReplicas": n, **({} if name == "ledger" else {"updatedReplicas": n})}
        for o in c.items:
            if o["kind"] == "ReplicaSet" and o["metadata"].get("ownerReferences", [{}])[0].get("name") == name and o["spec"]["replicas"] == n + 1:
                o["spec"]["replicas"] = n
                o["status"] |= {"replicas": n, "readyReplicas": n, "availableReplicas": n, "fullyLabeledReplicas": n}
    c.get("HorizontalPodAutoscaler", "payments", "api")["spec"]["minReplicas"] = 2
    living = {o["metadata"]["name"] for o in c.items if o["kind"] == "Pod"}
    for o in c.items:
        if o["kind"] == "EndpointSlice":
            o["endpoints"] = [e for e in o["endpoints"] if "targetRef" not in e or e["targetRef"]["name"] in living]
    down(c, "StatefulSet", "monitoring", "prometheus")


@fault(lab, ["volume-mount"], ["StatefulSet"], "forge", "db", "Multi-Attach")
def multi_attach(c):
    p = c.pods("forge", "db")[0]
    creating(c, p, "FailedAttachVolume", 'Multi-Attach error for volume "%s" Volume is already exclusively attached to one node and can\'t be attached to another' % c.get("PersistentVolumeClaim", "forge", "data-db-0")["spec"]["volumeName"], count=1, by="attachdetach-controller")
    down(c, "StatefulSet", "forge", "db")


@fault(bank, ["unschedulable-affinity"], ["Deployment"], "payments", "api", "topology spread constraints")
def topology_spread(c):
    unscheduled(c, c.pods("payments", "api-")[0], "0/4 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: true}, 3 node(s) didn't match pod topology spread constraints. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod.")
    down(c, "Deployment", "payments", "api", ready=2)


@fault(bank, ["pod-network"], ["Deployment"], "ingress", "nginx", "failed to assign an IP address")
def no_addresses_left(c):
    for p in c.pods("ingress", "nginx"):
        creating(c, p, "FailedCreatePodSandBox", 'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "8be1": plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container', count=140)
        p["status"]["conditions"][0] |= {"status": "False"}
        address = p["status"].pop("podIP")
        for s in c.items:
            if s["kind"] == "EndpointSlice":
                s["endpoints"] = [e for e in s["endpoints"] if e["addresses"] != [address]]
    down(c, "Deployment", "ingress", "nginx")


@fault(lab, ["pod-forbidden"], ["DaemonSet"], "storage", "longhorn-manager", "violates PodSecurity")
def pod_security(c):
    gone = {p["metadata"]["name"] for p in c.pods("storage", "longhorn-manager")}
    c.items = [o for o in c.items if o["metadata"]["name"] not in gone]
    c.get("Namespace", "", "storage")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    c.get("DaemonSet", "storage", "longhorn-manager")["status"] = {"currentNumberScheduled": 0, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 0, "numberUnavailable": 2, "observedGeneration": 4}
    c.event("DaemonSet", "storage", "longhorn-manager", "FailedCreate", 'Error creating: pods "longhorn-manager-9xk2m" is forbidden: violates PodSecurity "restricted:latest": privileged (container "manager" must not set securityContext.privileged=true), hostPath volumes (volumes "dev", "proc")', count=17, by="daemonset-controller")


@fault(bank, ["readiness-probe"], ["Deployment"], "payments", "ledger", "connection refused")
def rollout_never_ready(c):
    p = next(p for p in c.pods("payments", "ledger-") if "7c9d5f6b8" in p["metadata"]["name"])
    p["metadata"]["creationTimestamp"] = p["status"]["startTime"] = ago(minutes=40)
    unready(p)
    p["status"]["phase"] = "Running"
    p["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 8081, "scheme": "HTTP"}, "periodSeconds": 10, "failureThreshold": 3}
    p["status"]["containerStatuses"][0] |= {"ready": False, "started": True, "restartCount": 0, "lastState": {}, "state": {"running": {"startedAt": ago(minutes=39)}}}
    c.event("Pod", "payments", p["metadata"]["name"], "Unhealthy", "Readiness probe failed: Get \"http://10.42.1.77:8081/ready\": dial tcp 10.42.1.77:8081: connect: connection refused", count=233, first=dict(minutes=39), last=dict(seconds=8), host=p["spec"]["nodeName"], path="spec.containers{ledger}")
    c.get("ReplicaSet", "payments", "ledger-7c9d5f6b8")["metadata"]["creationTimestamp"] = ago(minutes=40)
    c.get("Deployment", "payments", "ledger")["status"]["conditions"][1] |= {"status": "False", "reason": "ProgressDeadlineExceeded", "message": 'ReplicaSet "ledger-7c9d5f6b8" has timed out progressing.', "lastTransitionTime": ago(minutes=30), "lastUpdateTime": ago(minutes=30)}


@fault(bank, ["pvc-unbound"], ["PersistentVolumeClaim"], "monitoring", "tsdb-prometheus-0", "UnauthorizedOperation")
def provisioning_refused(c):
    claim = c.get("PersistentVolumeClaim", "monitoring", "tsdb-prometheus-0")
    volume = claim["spec"].pop("volumeName")
    claim["status"] = {"phase": "Pending"}
    claim["metadata"] |= {"creationTimestamp": ago(minutes=35), "annotations": {"volume.kubernetes.io/selected-node": "ip-10-20-2-12.ec2.internal"}}
    c.items = [o for o in c.items if o["metadata"]["name"] != volume]
    unscheduled(c, c.pods("monitoring", "prometheus")[0], "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded")
    c.event("PersistentVolumeClaim", "monitoring", "tsdb-prometheus-0", "ProvisioningFailed", 'failed to provision volume with StorageClass "gp3": rpc error: code = Internal desc = Could not create volume "pvc-1": could not create volume in EC2: operation error EC2: CreateVolume, https response error StatusCode: 403, api error UnauthorizedOperation: You are not authorized to perform this operation.', count=13, by="ebs.csi.example")
    down(c, "StatefulSet", "monitoring", "prometheus")


@fault(lab, ["node-not-ready"], ["Node"], "", "wk-2", "PLEG is not healthy")
def runtime_hangs(c):
    for x in c.get("Node", "", "wk-2")["status"]["conditions"]:
        if x["type"] == "Ready":
            x |= {"status": "False", "reason": "KubeletNotReady", "message": "[container runtime is down, PLEG is not healthy: pleg was last seen active 6m12.4s ago; threshold is 3m0s]", "lastTransitionTime": ago(minutes=6)}
    c.get("Node", "", "wk-2")["spec"]["taints"] = [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": ago(minutes=6)}, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule", "timeAdded": ago(minutes=6)}]
    for p in [o for o in c.items if o["kind"] == "Pod" and o["spec"].get("nodeName") == "wk-2"]:
        for x in p["status"]["conditions"]:
            if x["type"] == "Ready":
                x |= {"status": "False", "lastTransitionTime": ago(minutes=6)}
        c.event("Pod", p["metadata"]["namespace"], p["metadata"]["name"], "NodeNotReady", "Node is not ready", first=dict(minutes=6), last=dict(minutes=6), by="node-controller")
    for name in ("web",):
        down(c, "Deployment", "forge", name, ready=1)
    down(c, "Deployment", "ml", "notebook")
    down(c, "StatefulSet", "forge", "db")
    c.get("DaemonSet", "kube-system", "calico-node")["status"] |= {"numberReady": 2, "numberAvailable": 2, "numberUnavailable": 1}
    c.get("DaemonSet", "storage", "longhorn-manager")["status"] |= {"numberReady": 1, "numberAvailable": 1, "numberUnavailable": 1}


@fault(bank, ["certificate-expired"], ["Secret"], "payments", "api-tls", "2031-09-1")
def intermediate_expired(c):
    c.get("Secret", "payments", "api-tls")["data"]["tls.crt"] = certificates([(-20, 70), (-400, -2)])


@fault(bank, ["service-load-balancer"], ["Service"], "ingress", "nginx", "subnets")
def load_balancer_pending(c):
    s = c.get("Service", "ingress", "nginx")
    s["status"] = {"loadBalancer": {}}
    s["metadata"]["creationTimestamp"] = ago(hours=4)
    c.event("Service", "ingress", "nginx", "EnsuringLoadBalancer", "Ensuring load balancer", type="Normal", count=18, by="service-controller", first=dict(hours=4), last=dict(minutes=3))
    c.event("Service", "ingress", "nginx", "SyncLoadBalancerFailed", "Error syncing load balancer: failed to ensure load balancer: could not find any suitable subnets for creating the ELB", count=18, by="service-controller", first=dict(hours=4), last=dict(minutes=3))
    c.get("Ingress", "payments", "api")["status"] = {"loadBalancer": {}}


@fault(lab, ["crash-loop"], ["Deployment"], "kube-system", "coredns", "Loop (127.0.0.1")
def dns_loop(c):
    for p in c.pods("kube-system", "coredns"):
        unready(p, "CrashLoopBackOff", backoff(p, "coredns"), restarts=31, last=died(1))
        c.event("Pod", "kube-system", p["metadata"]["name"], "BackOff", "Back-off restarting failed container coredns in pod %s_kube-system" % p["metadata"]["name"], count=140, path="spec.containers{coredns}")
        c.logs["kube-system_%s_coredns.previous.log" % p["metadata"]["name"]] = ".:53\n[INFO] plugin/reload: Running configuration SHA512 = 8846d9\nCoreDNS-1.11.3\nlinux/amd64, go1.21.11, a6338e9\n[FATAL] plugin/loop: Loop (127.0.0.1:55953 -> :53) detected for zone \".\", see https://coredns.io/plugins/loop#troubleshooting. Query: \"HINFO 5577006791947779410.8674665223082153551.\"\n"
    down(c, "Deployment", "kube-system", "coredns")


@fault(lab, ["crash-loop"], ["Deployment"], "forge", "runner", "Completed")
def main_process_ends(c):
    p = c.pods("forge", "runner")[0]
    unready(p, "CrashLoopBackOff", backoff(p, "runner"), restarts=12, last=died(0, "Completed"))
    p["status"]["phase"] = "Running"
    c.event("Pod", "forge", p["metadata"]["name"], "BackOff", "Back-off restarting failed container runner in pod %s_forge" % p["metadata"]["name"], count=60, path="spec.containers{runner}")
    down(c, "Deployment", "forge", "runner")


@fault(lab, ["oom-killed", "init-container"], ["Deployment"], "forge", "web", "OOMKilled")
def init_out_of_memory(c):
    for p in c.pods("forge", "web-")[:2]:
        if "migrate" in p["metadata"]["name"]:
            continue
        p["spec"]["initContainers"][0]["resources"] = {"limits": {"memory": "16Mi"}}
        unready(p, "PodInitializing")
        p["status"]["phase"] = "Pending"
        p["status"]["initContainerStatuses"][0] |= {"ready": False, "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": backoff(p, "wait-for-db")}}, "lastState": died(137, "OOMKilled")}
        for x in p["status"]["conditions"]:
            if x["type"] == "Initialized":
                x |= {"status": "False", "reason": "ContainersNotInitialized", "message": "containers with incomplete status: [wait-for-db]", "lastTransitionTime": ago(minutes=26)}
    down(c, "Deployment", "forge", "web")


@fault(bank, ["container-start", "crash-loop"], ["Deployment"], "payments", "api", "PostStartHook")
def post_start_hook(c):
    for p in c.pods("payments", "api-")[:3]:
        p["spec"]["containers"][0]["lifecycle"] = {"postStart": {"exec": {"command": ["/bin/register"]}}}
        unready(p, "PostStartHookError", "PostStartHook failed", restarts=8, last=died(137))
        c.event("Pod", "payments", p["metadata"]["name"], "FailedPostStartHook", "PostStartHook failed", count=8, path="spec.containers{api}", host=p["spec"]["nodeName"])
    down(c, "Deployment", "payments", "api")


@fault(bank, ["hpa-target"], ["HorizontalPodAutoscaler"], "payments", "api", "not found")
def autoscaler_without_target(c):
    h = c.get("HorizontalPodAutoscaler", "payments", "api")
    h["spec"]["scaleTargetRef"]["name"] = "checkout-api"
    h["status"] = {"currentReplicas": 0, "desiredReplicas": 0, "currentMetrics": None, "conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "the HPA controller was unable to get the target's current scale: deployments/scale.apps \"checkout-api\" not found", "lastTransitionTime": ago(hours=1)}]}
    c.event("HorizontalPodAutoscaler", "payments", "api", "FailedGetScale", "deployments/scale.apps \"checkout-api\" not found", count=240, by="horizontal-pod-autoscaler", first=dict(hours=1), last=dict(seconds=9))


@fault(lab, ["pod-forbidden", "missing-reference", "replica-failure"], ["Deployment"], "ml", "notebook", "serviceaccount \"notebook-sa\" not found")
def service_account_missing(c):
    gone = c.pods("ml", "notebook")[0]
    c.items.remove(gone)
    why = "pods \"notebook-5d7f-\" is forbidden: error looking up service account ml/notebook-sa: serviceaccount \"notebook-sa\" not found"
    for o in c.items:
        if o["kind"] == "ReplicaSet" and o["metadata"]["name"].startswith("notebook") and o["spec"]["replicas"]:
            o["status"] = {"replicas": 0, "observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why, "lastTransitionTime": ago(minutes=25)}]}
            c.event("ReplicaSet", "ml", o["metadata"]["name"], "FailedCreate", "Error creating: " + why, count=15, by="replicaset-controller")
        if o["kind"] == "EndpointSlice" and o["metadata"]["namespace"] == "ml":
            o["endpoints"] = None
    d = c.get("Deployment", "ml", "notebook")
    down(c, "Deployment", "ml", "notebook")
    d["status"].pop("replicas"), d["status"].pop("updatedReplicas")
    d["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why, "lastTransitionTime": ago(minutes=25), "lastUpdateTime": ago(minutes=25)})


@fault(lab, ["evicted"], ["Job", "Pod"], "ml", "train-resnet", "ephemeral local storage usage exceeds")
def ephemeral_storage(c):
    p = c.pods("ml", "train-resnet")[0]
    p["status"] = {"phase": "Failed", "reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ", "startTime": ago(hours=2), "qosClass": "Burstable",
                   "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ", "lastProbeTime": None, "lastTransitionTime": ago(minutes=7)}]}
    c.event("Pod", "ml", p["metadata"]["name"], "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ", first=dict(minutes=7), last=dict(minutes=7), host="wk-1")
    j = c.get("Job", "ml", "train-resnet")
    j["status"] = {"startTime": ago(hours=2), "failed": 1, "ready": 0, "active": 0, "uncountedTerminatedPods": {}}


@fault(bank, ["pod-rejected"], ["Deployment"], "monitoring", "inference", "UnexpectedAdmissionError")
def device_not_there(c):
    node = "ip-10-20-1-90.ec2.internal"
    c.deployment("monitoring", "inference", [("model", "registry.example.com/llm:3", {"resources": {"limits": {"nvidia.com/gpu": "1"}}})], [node], made=dict(minutes=8), tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    for p in c.pods("monitoring", "inference"):
        p["status"] = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0, which is unexpected", "startTime": ago(minutes=8)}
        c.event("Pod", "monitoring", p["metadata"]["name"], "UnexpectedAdmissionError", "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0, which is unexpected", first=dict(minutes=8), last=dict(minutes=8), host=node)
    down(c, "Deployment", "monitoring", "inference")


@fault(bank, ["node-pressure"], ["Node"], "", "ip-10-20-3-13.ec2.internal", "KubeletHasInsufficientMemory")
def memory_pressure(c):
    node = c.get("Node", "", "ip-10-20-3-13.ec2.internal")
    for x in node["status"]["conditions"]:
        if x["type"] == "MemoryPressure":
            x |= {"status": "True", "reason": "KubeletHasInsufficientMemory", "message": "kubelet has insufficient memory available", "lastTransitionTime": ago(minutes=5)}
    node["spec"]["taints"] = [{"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule", "timeAdded": ago(minutes=5)}]
    c.event("Node", "", node["metadata"]["name"], "EvictionThresholdMet", "Attempting to reclaim memory", count=14, first=dict(minutes=5), last=dict(seconds=30), host=node["metadata"]["name"])
    p = next(p for p in c.pods("payments", "api-") if p["spec"]["nodeName"] == node["metadata"]["name"] and p["status"]["phase"] == "Running")
    address = p["status"]["podIP"]
    p["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 88812Ki. Container api was using 4102Mi, request is 128Mi, has larger consumption of memory. ", "startTime": ago(**dict(days=63)), "qosClass": "Burstable"}
    c.event("Pod", "payments", p["metadata"]["name"], "Evicted", p["status"]["message"], first=dict(minutes=4), last=dict(minutes=4), host=node["metadata"]["name"])
    for s in c.items:
        if s["kind"] == "EndpointSlice":
            s["endpoints"] = [e for e in s["endpoints"] if e["addresses"] != [address]]
    down(c, "Deployment", "payments", "api", ready=2)


@fault(bank, ["job-deadline", "job-failed"], ["Job"], "payments", "settle-32459760", "DeadlineExceeded")
def settlement_too_slow(c):
    j = c.get("Job", "payments", "settle-32459760")
    j["spec"]["activeDeadlineSeconds"] = 3600
    j["status"] = {"startTime": ago(hours=2, minutes=32), "failed": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}, "conditions": [
        {"type": t, "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline", "lastProbeTime": ago(hours=1, minutes=32), "lastTransitionTime": ago(hours=1, minutes=32)} for t in ("FailureTarget", "Failed")]}
    gone = {p["metadata"]["name"] for p in c.pods("payments", "settle-32459760")}
    c.items = [o for o in c.items if o["metadata"]["name"] not in gone]
    c.get("CronJob", "payments", "settle")["status"]["lastSuccessfulTime"] = ago(hours=8, minutes=31)
    c.event("Job", "payments", "settle-32459760", "DeadlineExceeded", "Job was active longer than specified deadline", by="job-controller", first=dict(hours=1, minutes=32), last=dict(hours=1, minutes=32))


def key(o):
    return "%s/%s/%s" % (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])


def patch(old, new):
    """RFC 7396."""
    out = {k: None for k in old if k not in new}
    for k, v in new.items():
        if k not in old:
            out[k] = v
        elif old[k] != v:
            out[k] = patch(old[k], v) if isinstance(v, dict) and isinstance(old[k], dict) else v
    return out


def write(name, value):
    (OUT / name).write_text(value)
    print(name, len(value))


def dump(o):
    return json.dumps(o, separators=(",", ":"), sort_keys=False)


def check(clusters):
    import warnings

    import kubernetes_validate
    seen = {}
    for name, c in clusters:
        for o in c.items:
            text = dump(o)
            if text in seen:
                continue
            seen[text] = name
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    kubernetes_validate.validate(o, "1.32", strict=True)
            except Exception as e:
                print(name, key(o), type(e).__name__, str(e)[:200])
    print(len(seen), "objects held against the schemas of Kubernetes 1.32")


if "--check" in sys.argv:
    check([("bank", bank()), ("lab", lab())] + [(name, c) for name, *_, c in FAULTS])
else:
    for base in (bank, lab):
        c = base()
        write(base.__name__ + ".json", '{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[\n' + ",\n".join(map(dump, c.items)) + "\n]}\n")
    out = []
    for name, base, gold, before, c in FAULTS:
        old, new = {key(o): o for o in before}, {key(o): o for o in c.items}
        out.append(dump({"fault": name, "base": base, "gold": gold, "merge": {k: patch(old[k], o) for k, o in new.items() if k in old and old[k] != o},
                         "add": [o for k, o in new.items() if k not in old], "remove": [k for k in old if k not in new], "logs": c.logs}))
    write("field.json", "[\n" + ",\n".join(out) + "\n]\n")
