#!/usr/bin/env bash
# Every table about detection that README.md and docs/learning.md show, printed anew. Takes about half an hour on two cores, most of it the ablation.
#
#   tests/measure/detection.sh [PART]...      score ablation realmail campaigns cost; without a word: all of them
#
# Needs Chromium for score and ablation, and the real mail (PIXELGATE_REALMAIL, default ../shared/realmail) for realmail. It measures: a
# miss is a figure and no failure. What fails where a figure is not as it should be is `tests/run`.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
exec </dev/null
parts=${*:-score ablation realmail campaigns cost}
binary="${CARGO_TARGET_DIR:-target}/release/pixelgate"
realmail=${PIXELGATE_REALMAIL:-../shared/realmail}

say() { printf '\n== %s\n' "$*"; }

say "built from $(git log -1 --format='%h of %cs')$(git diff --quiet HEAD || echo ', with changes')"
cargo build --release --locked --quiet || exit 1
for part in $parts; do
    say "$part"
    case "$part" in
        score)
            python3 tests/judge/judge.py --binary "$binary" --score | sed -n '/^score:/p; /pages shown/p; /^judge:/p'
            # Totals only: nobody looks at a case of this set.
            python3 tests/judge/judge.py --binary "$binary" --cases tests/heldout --expected none --quick --score |
                sed -n 's/^score:/held-out score:/p'
            ;;
        ablation) python3 tests/judge/ablation.py --binary "$binary" ;;
        realmail)
            python3 tests/realmail/check.py --binary "$binary" --realmail "$realmail" | grep -v '^miss'
            python3 tests/realmail/verdicts.py --binary "$binary" --realmail "$realmail"
            python3 tests/realmail/pairs.py --binary "$binary" --realmail "$realmail"
            ;;
        campaigns) cargo test --locked --quiet --test learn -- --nocapture each_slot_of_a_campaign 2>/dev/null ;;
        cost) cargo bench --locked --quiet --bench detection ;;
        *) echo "detection.sh: unknown part $part" >&2; exit 64 ;;
    esac
done
