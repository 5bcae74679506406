#!/usr/bin/python3
"""The same as main.go with Python's kubernetes (Debian: python3-kubernetes): a list, then a watch from there, again and again."""
import json, os, sys, threading, time

from kubernetes import client, config, watch

lock = threading.Lock()
store, wrong, counts = {}, [], {"events": 0, "watches": 0, "synced": False}


def take(event, last):
    """Its revision. Within a watch, and from one to the next that resumes it, revisions only grow."""
    meta = event["raw_object"]["metadata"]
    revision = int(meta["resourceVersion"])
    with lock:
        counts["events"] += 1
        if revision <= last:
            wrong.append("%s %s: revision %d after %d" % (event["type"], meta["name"], revision, last))
        if event["type"] == "DELETED":
            store.pop(meta["name"], None)
        else:
            store[meta["name"]] = [meta["uid"], meta["resourceVersion"]]
    return revision


def follow(api):
    last = 0
    while True:
        try:
            if last == 0:
                got = api.list_namespaced_config_map("default")
                last = int(got.metadata.resource_version)
                with lock:
                    store.clear()
                    store.update({o.metadata.name: [o.metadata.uid, o.metadata.resource_version] for o in got.items})
                    counts["synced"] = True
            counts["watches"] += 1
            for event in watch.Watch().stream(api.list_namespaced_config_map, "default", resource_version=str(last)):
                last = take(event, last)
        except client.exceptions.ApiException as e:
            last = 0 if e.status == 410 else last
        except Exception: # whatever a connection breaks with
            pass
        time.sleep(0.02)


if sys.argv[1:] == ["planted"]: # a test of the test: the second one is seen
    last = 4
    for revision in (5, 6, 6, 7):
        last = take({"type": "MODIFIED", "raw_object": {"metadata": {"name": "a", "uid": "u", "resourceVersion": str(revision)}}}, last)
    print(json.dumps({"wrong": wrong}))
    sys.exit(0)
config.load_kube_config(os.environ["KUBECONFIG"])
settings = client.Configuration.get_default_copy()
settings.retries = 0
threading.Thread(target=follow, args=(client.CoreV1Api(client.ApiClient(settings)),), daemon=True).start()
for line in sys.stdin:
    with lock:
        print(json.dumps(dict(counts, store=store, wrong=wrong)), flush=True)
