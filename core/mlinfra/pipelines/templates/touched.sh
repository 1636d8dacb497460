set -euo pipefail
touched() {
  local name=$1 files
  shift
  files=$(git diff --name-only "$BASE...HEAD" -- "$@")
  if [ -n "$files" ]; then echo "$name=true"; else echo "$name=false"; fi >> "$GITHUB_OUTPUT"
}
