# What the pull request would do here, for the log, the summary of the run, and the comment.
set -euo pipefail
file="${RUNNER_TEMP:-.}/mlinfra-$ENVIRONMENT.md"
result=0
show() {
  local code=0 said
  said=$("$@" 2>&1) || code=$?
  printf '\n### %s: exit code %s\n\n~~~text\n%s\n~~~\n' "$*" "$code" "$said"
  # 4: nothing is wrong. Of several failures the first decides
  if [ "$code" != 0 ] && [ "$code" != 4 ] && [ "$result" = 0 ]; then result=$code; fi
}
{
  echo "## $ENVIRONMENT"
  show mlinfra plan "$ENVIRONMENT"
  show mlinfra check "$ENVIRONMENT"
  show mlinfra cost "$ENVIRONMENT"
} > "$file"
cat "$file"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$file" >> "$GITHUB_STEP_SUMMARY"; fi
exit "$result"
