#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From bags to an own model, timed: record, teach a teacher, label with it, train the small model, measure, package.
#   . scripts/env.sh && MINUTES=15 examples/own_model/walk.sh out/own_model
# With your own footage leave out the first two steps: bring your bags, and a big model as the teacher.
set -euo pipefail
OUT=${1:?where to}; MINUTES=${MINUTES:-15}; HERE=$(dirname "$0"); MODEL=${MODEL:-builtin}
THINGS="binoculars, stapler, teapot"
step() { local began=$SECONDS; echo "== $1"; shift; "$@"; echo "   $((SECONDS - began)) s"; }

step "record: bags of a table with three things that nobody taught" \
  python "$HERE/new_things.py" --clips "${CLIPS:-6}" --seed 100 --bags "$OUT/bags"
step "footage with perfect labels: for the teacher, and held out to measure on" \
  python "$HERE/new_things.py" --clips "${TRUTH:-20}" --seed 200 --truth "$OUT/truth"
step "old scenes, so that what was known stays known" \
  python -m seem_ros.sim.dataset --out "$OUT/replay" --scenes "${REPLAY:-200}" --shard-size 100 --seed 3000
# A teacher finds the new things and need not keep the old ones: it goes further from the built-in weights than the student.
step "the teacher: here the built-in model, taught with the truth; yours is a big model" \
  python -m seem_ros.training.train --data "$OUT/truth" --init "$MODEL" --replay "$OUT/replay" --minutes "$MINUTES" --new-share 0.8 --out "$OUT/teacher"
SIZE=$(python -c "from seem_ros.runtime.package import find_package, open_package as o; print('%dx%d' % o(find_package('$MODEL')).spec.input_hw)")
[ -d "$OUT/teacher/package" ] || step "the teacher's package" \
  python -m seem_ros.tools.export "$OUT/teacher/average.pt" --card "$OUT/teacher/card.yaml" --size "$SIZE" --out "$OUT/teacher/package"

step "label: the teacher finds, memory follows, what does not agree is dropped" \
  python -m seem_ros.tools.label "$OUT"/bags/* --model "$OUT/teacher/package" --things "$THINGS" --every 5 --out "$OUT/labels"
step "how right the labels are" python "$HERE/audit.py" "$OUT/labels"
step "train: the built-in model on these labels" \
  python -m seem_ros.training.train --data "$OUT/labels" --init "$MODEL" --replay "$OUT/replay" --minutes "$MINUTES" --new-share 0.65 --out "$OUT/mine"
[ -d "$OUT/mine/package" ] || step "package" \
  python -m seem_ros.tools.export "$OUT/mine/average.pt" --card "$OUT/mine/card.yaml" --size "$SIZE" --out "$OUT/mine/package"
step "what changed, on scenes that no training saw" \
  python -m seem_ros.tools.evaluate --real "$OUT/truth" --world "$OUT/old" --render "${OLD:-60}" --grabcut none --max-clicks 5 \
    --before "$MODEL" --after "$OUT/mine/package" --limit "${LIMIT:-40}" --out "$OUT/change"
step "the new names, asked as the node is asked, and a click on the new things" \
  python "$HERE/new_names.py" "$OUT/truth" --models "$MODEL" "$OUT/mine/package" "$OUT/teacher/package"
step "and the teacher on the same" \
  python -m seem_ros.tools.evaluate --real "$OUT/truth" --model "$OUT/teacher/package" --grabcut none --limit "${LIMIT:-40}" --out "$OUT/teacher_report"
echo "ros2 launch seem_ros seem.launch.py model:=$(realpath "$OUT/mine/package")"
