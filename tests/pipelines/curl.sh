#!/usr/bin/env bash
# Stands for curl before a forge: comments live in comments.json, every request is noted in requests.
set -euo pipefail
method=GET data='' url='' token=''
while (($#)); do
    case $1 in
    -X) method=$2 && shift ;;
    -H) [[ $2 == *"$FORGE_TOKEN" ]] && token=yes; shift ;;
    --data) data=${2#@} && shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
echo "$method $url" >>requests
[[ $token ]] || exit 22
case "$method $url" in
"GET "*/commits/abc/pulls) echo '[{ "number": 7 }]' ;;
"GET "*/commits/abc/pull) echo '{ "number": 7 }' ;;
"GET "*/commits/abc/merge_requests) echo '[{ "iid": 7 }]' ;;
"GET "*/7/comments?per_page=100 | "GET "*/7/notes?per_page=100) cat comments.json ;;
"POST "*/7/comments | "POST "*/7/notes)
    jq --arg bot "$FORGE_BOT" --slurpfile new "$data" \
        '. + [{ id: (length + 1), user: { login: $bot }, author: { username: $bot }, body: $new[0].body }]' \
        comments.json >comments.new
    mv comments.new comments.json
    ;;
"PATCH "*/comments/* | "PUT "*/notes/*)
    jq --argjson id "${url##*/}" --slurpfile new "$data" 'map(if .id == $id then .body = $new[0].body else . end)' \
        comments.json >comments.new
    mv comments.new comments.json
    ;;
*) exit 22 ;;
esac
