set -euo pipefail
code=0
mlinfra up "$ENVIRONMENT" || code=$?
# 4: a rollout is under way, and the next tick goes on with it
if [ "$code" = 4 ]; then code=0; fi
exit "$code"
