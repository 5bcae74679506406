#!/usr/bin/env bash
# Kubelets that come to the server by HTTPS, as from another machine: the path's pod on such a node.
. "$(dirname "$0")/lib.sh"

export MONOKUBE_KUBELETS=https
# Who wrote what of the pods: over HTTPS the user of the certificate, in process the node.
actors() { k get --raw '/debug/monokube/revisions?resource=pods&limit=100' | grep -o '"actor":"[^"]*"' | sort | uniq -c; }
over_https() { actors | awk '/kubernetes-admin/ && $1 >= 2 {found = 1} END {exit !found}' || { actors; return 1; }; }
none_in_process() { actors | grep -q . && ! actors | grep system:node; }
address() { k get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}'; }
answers() { get "http://$(address)/" | grep -q 'Hello from pod web-'; }
says() { k "${@:2}" 2>&1 | grep -E -- "$1"; }

machine >"$work/before"
ok "start" monokube start -p $P
ok "the node is Ready" says ' Ready ' get nodes
ok "create deployment" k create deployment web --image=monokube/hello --replicas=2
ok "expose" k expose deployment web --port=80 --target-port=8080 --type=LoadBalancer
ok "it is ready" k rollout status deployment web --timeout=30s
ok "it answers" within 10 answers
ok "logs" says 'listening on port 8080' logs deployment/web
ok "the pods' states came over HTTPS" over_https
ok "and none in process" none_in_process
ok "a settings change reaches the pods" k set env deployment/web VERSION=2
ok "it is rolled out" k rollout status deployment web --timeout=30s
ok "scale to none" k scale deployment web --replicas=0
no_pods() { [ -z "$(k get pods -o name)" ]; }
ok "the pods go" within 40 no_pods
unset MONOKUBE_KUBELETS
ok "stop" monokube stop -p $P
ok "start again" monokube start -p $P
ok "pods again" k scale deployment web --replicas=1
ok "they are ready" k rollout status deployment web --timeout=30s
ok "in process that would show" within 5 sh -c "timeout 20 kubectl get --raw '/debug/monokube/revisions?resource=pods&limit=100' | grep -q system:node"
ok "delete" monokube delete -p $P
clean() { machine >"$work/after"; diff "$work/before" "$work/after"; }
ok "the machine is as before" within 10 clean
