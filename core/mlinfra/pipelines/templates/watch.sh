# What differs here, for the summary of the run and the issue; nothing at all where nothing differs.
set -euo pipefail
file="${RUNNER_TEMP:-.}/mlinfra-$ENVIRONMENT.md"
: > "$file"
result=0
look() {
  local code=0 said
  said=$("$@" 2>&1) || code=$?
  printf '%s\n' "$said"
  # 4: no data yet. 1: a difference or a failure, which the issue tells; anything else fails the job as well
  if [ "$code" = 0 ] || [ "$code" = 4 ]; then return; fi
  if [ "$code" != 1 ] && [ "$result" = 0 ]; then result=$code; fi
  printf '### %s: exit code %s\n\n~~~text\n%s\n~~~\n\n' "$*" "$code" "$said" >> "$file"
}
look mlinfra verify "$ENVIRONMENT"
monitors=$(
  { mlinfra plan "$ENVIRONMENT" --json || true; } | python3 -P -c '
import json, sys
keys = [part["part"] or "" for part in json.load(sys.stdin)["parts"]]
print(*(key.removeprefix("drift_monitors.") for key in keys if key.startswith("drift_monitors.")), sep="\n")'
) || {
  result=1
  echo "### the drift monitors cannot be read: mlinfra plan $ENVIRONMENT --json" | tee -a "$file"
}
for monitor in $monitors; do look mlinfra drift "$ENVIRONMENT" "$monitor"; done
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$file" >> "$GITHUB_STEP_SUMMARY"; fi
exit "$result"
