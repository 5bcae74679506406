#!/usr/bin/env bash
# Custom resources as a person with kubectl has them: define, create, look, change, explain, delete; and after a restart.
. "$(dirname "$0")/lib.sh"

out() { k "$@" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }; cat "$work/answer"; }
says() { # PATTERN COMMAND…
	local pattern=$1
	shift
	out "$@" | grep -E -- "$pattern" && return
	cat "$work/answer"
	return 1
}
fails() { # PATTERN COMMAND…
	local pattern=$1
	shift
	k "$@" >"$work/answer" 2>&1 && { cat "$work/answer"; return 1; }
	grep -E -- "$pattern" "$work/answer" && return
	cat "$work/answer"
	return 1
}
gone() { ! k get "$@" >/dev/null 2>&1; }
watched() { grep -c "$1" "$work/watch" | grep -qx "$2"; }

cat >"$work/crd.yaml" <<'Y'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    schema:
      openAPIV3Schema:
        type: object
        description: A program that runs at times.
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, pattern: '^(\S+\s+){4}\S+$', description: When it runs.}
              image: {type: string}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [port]
                items: {type: object, required: [port], properties: {port: {type: integer}, name: {type: string}}}
          status: {type: object, properties: {replicas: {type: integer}}}
Y
cat >"$work/ct.yaml" <<'Y'
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: my}
spec: {cronSpec: "* * * * */5", image: my-image, ports: [{port: 80, name: web}]}
Y

sed 's/image:/bogus:/' "$work/ct.yaml" >"$work/bogus.yaml"
sed 's/port: 80, name: web/port: 443/; s/image: my-image, //; s/name: my/name: two/' "$work/ct.yaml" >"$work/other.yaml"

ok "start" monokube start -p $P
ok "an unknown kind is refused" fails 'no matches for kind "CronTab"' apply -f "$work/ct.yaml"
ok "create the definition" says 'crontabs.stable.example.com created' create -f "$work/crd.yaml"
ok "it is established" says 'condition met' wait --for=condition=Established crd/crontabs.stable.example.com --timeout=10s
ok "it is among the resources" says '^crontabs +ct +stable.example.com/v1 +true +CronTab' api-resources
ok "apply" says 'crontab.stable.example.com/my created' apply -f "$work/ct.yaml"
ok "apply again changes nothing" says 'crontab.stable.example.com/my unchanged' apply -f "$work/ct.yaml"
ok "get shows its columns" says '^my +\* \* \* \* \*/5 +1$' get ct
ok "get all has it" says 'crontab.stable.example.com/my' get all
ok "describe" says 'Cron Spec: +\* \* \* \* \*/5' describe crontab my
ok "explain" says 'When it runs' explain crontab.spec.cronSpec
ok "explain knows lists" says 'ports.*<\[\]Object>' explain crontab.spec
# Asked by hand: kubectl before 1.25 has no --validate=strict.
k create --dry-run=client --validate=false -o json -f "$work/bogus.yaml" >"$work/bogus.json"
ok "unknown fields are refused when asked strictly" fails 'unknown field \\?"spec.bogus' \
	create --raw '/apis/stable.example.com/v1/namespaces/default/crontabs?fieldValidation=Strict' -f "$work/bogus.json"
ok "wrong values are refused" fails 'spec.replicas in body should be less than or equal to 10' patch ct my --type=merge -p '{"spec":{"replicas":50}}'
ok "scale" says 'scaled' scale crontab/my --replicas=3
ok "the scale is there" says '^3$' get ct my -o jsonpath='{.spec.replicas}'
sed 's/name: my/name: two/' "$work/ct.yaml" >"$work/two.yaml"
ok "apply by the server" says 'crontab.stable.example.com/two serverside-applied' apply --server-side --field-manager=one -f "$work/two.yaml"
ok "apply by the server as somebody else" says 'crontab.stable.example.com/two serverside-applied' apply --server-side --field-manager=other -f "$work/other.yaml"
ok "lists are merged by their keys" says '^80 443$' get ct two -o jsonpath='{.spec.ports[*].port}'
ok "delete one" says 'crontab.stable.example.com "two" deleted' delete ct two
ok "edit by strategic merge is not offered" fails 'application/strategic-merge-patch.* is not supported|415|unsupported media type|unknown format' patch ct my --type=strategic -p '{"spec":{"replicas":2}}'
k get ct --watch -o name >"$work/watch" 2>&1 &
watcher=$!
ok "a watch begins" within 5 watched crontab 1
k label ct my a=b >/dev/null
ok "a watch sees a change" within 5 watched crontab 2
ok "restart" monokube stop -p $P
wait $watcher 2>/dev/null
ok "start again" monokube start -p $P
ok "it is still there" says '^my ' get ct
ok "a namespace takes its custom resources along" bash -c "kubectl create namespace sub && kubectl -n sub apply -f $work/ct.yaml && timeout 30 kubectl delete namespace sub"
ok "it is gone with the namespace" says 'my' get ct -A --no-headers
ok "delete the definition" says 'deleted' delete crd crontabs.stable.example.com --timeout=20s
ok "the kind is gone" gone ct
ok "and its group" bash -c "! kubectl api-versions | grep stable.example.com"
