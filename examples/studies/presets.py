"""Does a monitor that costs less decide alike? The alarm with fewer evaluations and hosts beside the default.

Follows the default cues after every epoch of trainings of the store, and decides as the default and as the candidates
for a preset would. A candidate that evaluates every n-th epoch confirms by its own evaluation before; where halves of
the donors confirm, too, it may do so in its first evaluation.
Scores of maps are not computed, because they are equal if images, samples, steps and seed are: candidates differ only
in hosts, epochs, and in one case images. The candidate is chosen on the trainings that the alarm's bounds were chosen
on; the later ones report. Candidates with halves were added after a look at the others on both, therefore trainings of
the study of selection rules report once more. Trainings whose rows are in the table already are kept. With `--quick`
one small network is trained and followed, which shows that the study runs and nothing else.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

# Studies share modules with the benchmark of the alarm.
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from benchmark import watched_images
from certainty import DEFAULT, Row, Setting, chosen, few, fill
from designs import Design, designs
from selection_plan import is_reported, plan
from store import store_folder, train_or_read

from lightning_saliency import alarm, follow
from lightning_saliency.following import Alarm

CONFIRMED: Final = 2
SUMMARY: Final = Path(__file__).with_name("presets.csv")


class Candidate(NamedTuple):
    """A way to save: what an evaluation uses, in which epochs there is one, and whether halves of donors confirm."""

    setting: Setting
    every: int = 1
    halves: bool = False


CANDIDATES: Final = (
    Candidate(DEFAULT),
    Candidate(Setting("every third epoch, 2 hosts", hosts=2), 3),
    Candidate(Setting("every third epoch"), 3),
    Candidate(Setting("every fourth epoch"), 4),
    Candidate(Setting("every second epoch, 32 images, 2 hosts", images=32, hosts=2), 2),
    Candidate(Setting("every third epoch, 2 hosts, halves", hosts=2), 3, halves=True),
    Candidate(Setting("every third epoch, halves"), 3, halves=True),
    Candidate(Setting("every fourth epoch, halves"), 4, halves=True),
)


def main(options: argparse.Namespace) -> None:
    """Evaluate what has no row yet, and write rows and summary."""
    parts = {design: part for part, group in trainings(options.quick).items() for design in group}
    left = [design for design, part in parts.items() if options.part in part]
    fill(options, left, lambda design: decisions(design, parts[design]), summary)


def trainings(quick: bool) -> dict[str, list[Design]]:
    """List the trainings that a candidate is chosen on, later ones, and added ones that came last."""
    both = chosen(quick)
    listed = {design.name for design in designs()}
    added = [] if quick else [design for design in plan() if is_reported(design) and design.name not in listed]
    return {
        "choice": [design for design in both if design.chosen_on],
        "report": [design for design in both if not design.chosen_on],
        "added": added[::3],
    }


def decisions(design: Design, part: str) -> list[Row]:
    """Decide after every epoch of a training in which a candidate evaluates, as it would."""
    training = train_or_read(design, store_folder())
    watched = watched_images(training.data.val, design.seed)
    last: dict[Candidate, Alarm] = {}
    rows: list[Row] = []
    for epoch, network in enumerate(training.networks(), start=1):
        followings = follow(network, watched.images, watched.labels)
        for candidate in CANDIDATES:
            if epoch % candidate.every == 0:
                record = few(followings, candidate.setting)
                last[candidate] = alarm(record, previous=last.get(candidate), halves=candidate.halves)
                row: Row = {"training": design.name, "part": part, "epoch": epoch, "candidate": candidate.setting.name}
                rows.append({**row, "alarm": last[candidate].state})
    return rows


def summary(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """Compare the evaluations of each candidate with those of the default in the same epochs."""
    table: list[Row] = []
    for part in dict.fromkeys(row["part"] for row in rows):
        group = [row for row in rows if row["part"] == part]
        members = {row["training"] for row in group}
        states = {
            (row["training"], row["epoch"]): int(row["alarm"]) for row in group if row["candidate"] == DEFAULT.name
        }
        for candidate in CANDIDATES:
            mine = [row for row in group if row["candidate"] == candidate.setting.name]
            if not mine:
                continue  # trainings of fewer epochs
            pairs = [(int(row["alarm"]), states[row["training"], row["epoch"]]) for row in mine]
            confirmed = {row["training"] for row in mine if row["alarm"] == str(CONFIRMED)}
            later = [pair for pair, row in zip(pairs, mine, strict=True) if int(row["epoch"]) > candidate.every]
            table.append(
                {
                    "part": part,
                    "candidate": candidate.setting.name,
                    "every": candidate.every,
                    "trainings": len(members),
                    "without_signs": sum(map(_is_plain, members)),
                    "evaluations": len(pairs),
                    "same_gate": _share([(one == 0) == (other == 0) for one, other in pairs]),
                    "same_state": _share([one == other for one, other in pairs]),
                    "same_state_later": _share([one == other for one, other in later]) if later else "",
                    "confirmed": len(confirmed),
                    "confirmed_without_signs": sum(map(_is_plain, confirmed)),
                }
            )
    return table


def _is_plain(training: str) -> bool:
    return "-none-" in training


def _share(values: Sequence[bool]) -> float:
    return round(statistics.fmean(values), 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=Path("runs/studies/presets_rows.csv"))
    parser.add_argument("--output", type=Path, default=SUMMARY)
    parser.add_argument("--part", default="", help="`choice`, `report` or `added`; all by default")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no training later than this")
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
