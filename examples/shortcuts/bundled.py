"""Alarms of trained networks, some of which read a planted sign: which are found, and which are false.

Reads `shortcuts/networks.pt` from the folder named by `LIGHTNING_SALIENCY_DATA`, follows the default cues in each
network, and writes one row a network. Nothing is trained. The rule was chosen with these networks in view, so that the
figures show that it works as before, not how well it works on others.
"""

import argparse
import csv
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundled_networks import FAMILIES, Bundled, read_networks

from lightning_saliency import alarm, cues, follow
from lightning_saliency.following import Following, largest_excess

Row = dict[str, str | int | float]


def main(output: Path) -> None:
    """Follow the cues in every network, and write the table."""
    start = time.perf_counter()
    rows = [row_of(network) for network in read_networks(Path(os.environ["LIGHTNING_SALIENCY_DATA"]))]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for domain in ("all", "digits", "cifar", "four"):
        print(f"{domain:7}", summary([row for row in rows if domain in ("all", row["domain"])]))
    print(f"{len(rows)} networks in {time.perf_counter() - start:.0f} s: {output}")


def row_of(network: Bundled) -> Row:
    """Decide on one network."""
    followings = follow(network.model, network.images, network.labels)
    decision = alarm(followings)
    return {
        "name": network.name,
        "domain": network.domain,
        "kind": network.kind,
        "fall": round(network.fall, 4),
        "truth": network.truth,
        "alarm": decision.state,
        "halves": alarm(followings, halves=True).state,
        "cue": decision.cue,
        "right_family": int(FAMILIES.get(network.kind) in decision.families),
        "value": round(decision.value, 4),
        "stderr": round(decision.stderr, 4),
        "excess": round(largest_excess(followings), 4),
        "silence": decision.silence,
        **figures(followings),
    }


def figures(followings: Mapping[str, Following]) -> Row:
    """List E, its standard error and S of each default cue."""
    result: Row = {}
    for cue in cues.DEFAULT:
        mean = followings[cue.name].effect.mean
        result[f"{cue.name}_effect"] = round(mean.value, 4)
        result[f"{cue.name}_stderr"] = round(mean.stderr, 4)
        result[f"{cue.name}_kept"] = round(followings[cue.name].kept, 4)
    return result


def summary(rows: Sequence[Row]) -> str:
    """Count what was found, what is false and what has the right name."""
    shortcuts = [row for row in rows if row["truth"] == "shortcut"]
    honest = [row for row in rows if row["truth"] == "honest"]
    caught = [row for row in shortcuts if row["alarm"]]
    return (
        f"found {len(caught)} of {len(shortcuts)}, false {sum(bool(row['alarm']) for row in honest)} of {len(honest)}, "
        f"AUC {auc([float(row['excess']) for row in shortcuts], [float(row['excess']) for row in honest]):.2f}, "
        f"right family {sum(int(row['right_family']) for row in caught)} of {len(caught)}; by halves "
        f"{sum(row['halves'] == 2 for row in shortcuts)}, {sum(row['halves'] == 2 for row in honest)} false"
    )


def auc(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Return the chance that a shortcut has a larger excess than an honest network."""
    wins = sum((one > other) + (one == other) / 2 for one in positives for other in negatives)
    return wins / (len(positives) * len(negatives))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/shortcuts/bundled.csv"))
    main(parser.parse_args().output)
