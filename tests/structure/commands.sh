#!/usr/bin/env bash
# Runs every command of docs/cli.md and docs/text.md as it stands: blocks marked sh always, those marked sh-data where
# RTL_DATA is, and those marked sh-minilm where MiniLM can be fetched, too.
# commands.sh PROGRAM_FOLDER SOURCE_FOLDER
set -euo pipefail
export PATH=$1:$PATH
document=$2/docs/cli.md
export RTL_DATA=${RTL_DATA:-$2/../shared/data}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

# Prints the commands of all blocks with this mark.
blocks() {
  awk -v mark="\`\`\`$1" '$0 == mark { inside = 1; next } $0 == "```" { inside = 0 } inside' "$document"
}

blocks sh >commands
[ "$(grep -c '^rtl ' commands)" -ge 8 ] || { echo "docs/cli.md has lost its commands"; exit 1; }
bash -euxo pipefail commands
for file in source.safetensors logits.npy predict.json result.json result.html W.npy ridge.json other.json masses.csv \
  predicted-kinds.csv test.npy test-labels.npy features.json scores.json decided.csv; do
  [ -s "$file" ] || { echo "docs/cli.md did not write $file"; exit 1; }
done
document=$2/docs/text.md
blocks sh >commands
[ "$(grep -c '^rtl ' commands)" -ge 3 ] || { echo "docs/text.md has lost its commands"; exit 1; }
bash -euxo pipefail commands
if [ -d "$RTL_DATA" ]; then
  for document in "$2/docs/cli.md" "$2/docs/text.md"; do
    blocks sh-data >commands
    bash -euxo pipefail commands
  done
  document=$2/docs/text.md
  if RTL_MINILM=$("$2/scripts/fetch-minilm" 2>/dev/null); then
    export RTL_MINILM
    blocks sh-minilm >commands
    bash -euxo pipefail commands
  else
    echo "NOT TESTED without MiniLM: scripts/fetch-minilm cannot fetch it, so its commands of docs/text.md were not run"
  fi
else
  echo "RTL_DATA ($RTL_DATA) is not there: the commands on real data were not run"
fi
