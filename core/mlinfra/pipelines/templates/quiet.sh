# Of the runs that wait for an environment the host keeps only the newest: a tick must not push an up of a merge out.
set -euo pipefail
busy=$(
  curl --silent --show-error --fail --max-time 30 --header "Authorization: token $TOKEN" \
    "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/runs?event=push&per_page=50&limit=50" |
    jq '[.workflow_runs[] | select(.event == "push" and .head_branch == env.GITHUB_REF_NAME) | .status
      | select(IN("queued", "pending", "waiting", "blocked", "requested", "in_progress", "running"))] | length'
) || busy=0
if [ "$busy" = 0 ]; then echo "quiet=true"; else echo "quiet=false"; fi >> "$GITHUB_OUTPUT"
