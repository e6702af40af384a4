"""Standard errors and decisions by the number of images, samples, steps and hosts: the price of certainty.

Evaluates networks of the training store after every second epoch as a monitor would, with one setting after another,
and writes one row an evaluation and setting; rows that are in the table already are kept. The summary has, for each
setting, the standard errors and the share of evaluations whose decisions are those of the default setting. The
trainings that the alarm's bounds were chosen on and the later ones are apart. With `--quick` one small network is
trained and evaluated, which shows that the study runs and nothing else.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

# Studies share modules with the benchmark of the alarm.
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from designs import Design, designs
from images import Images
from store import store_folder, train_or_read

from lightning_saliency import alarm, explain, follow, score
from lightning_saliency.following import Alarm, Following
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad, RandomMap
from lightning_saliency.metrics import RCAP

METHODS: Final = ("guided_absolute_grad", "grad_cam")
NUM_HOSTS: Final = 32
LARGE: Final = ("resnet20", "lite0")
"""Networks that take ten times as long as the others, and are left out."""
EVERY: Final = 2
BOUND: Final = 0.25
"""Bound of the gate in the README."""
SUMMARY: Final = Path(__file__).with_name("certainty.csv")


class Setting(NamedTuple):
    """How an evaluation is made.

    Attributes:
        name: Its name.
        images: Number of watched images.
        samples: Samples of Guided AbsoluteGrad.
        steps: Stages of RCAP.
        hosts: Hosts of each cue.
        first: Place of the first image.
        seed: Seed of the noise and of the hosts.
    """

    name: str
    images: int = 64
    samples: int = 20
    steps: int = 5
    hosts: int = 4
    first: int = 0
    seed: int = 0


DEFAULT: Final = Setting("default")
SETTINGS: Final = (
    DEFAULT,
    Setting("other images", first=64),
    Setting("other noise and hosts", seed=1),
    *(Setting(f"{images} images", images=images) for images in (16, 32, 128)),
    *(Setting(f"{samples} samples", samples=samples) for samples in (5, 10)),
    *(Setting(f"{steps} steps", steps=steps) for steps in (3, 10)),
    *(Setting(f"{hosts} hosts", hosts=hosts) for hosts in (1, 2, 8)),
    Setting("32 images, 10 samples, 2 hosts", images=32, samples=10, hosts=2),
    Setting("64 images, 5 samples, 2 hosts", samples=5, hosts=2),
    Setting("64 images, 5 samples, 1 host", samples=5, hosts=1),
    Setting("64 images, 10 samples, 3 hosts", samples=10, hosts=3),
    Setting("128 images, 8 hosts", images=128, hosts=8),
)
INTERVALS: Final = {3: 0.2, 5: 0.1, 10: 0.05}
Row = dict[str, str | int | float]


def main(options: argparse.Namespace) -> None:
    """Evaluate what has no row yet, and write rows and summary."""
    settings = [setting for setting in SETTINGS if not options.quick or setting in SETTINGS[:4]]
    fill(options, chosen(options.quick), lambda design: evaluations(design, settings), summary)


def fill(
    options: argparse.Namespace,
    trainings: Iterable[Design],
    evaluate: Callable[[Design], Iterable[Row]],
    summarize: Callable[[Sequence[Mapping[str, str]]], list[Row]],
) -> None:
    """Evaluate trainings that have no row yet, until the time is over, and write rows and what they come to."""
    torch.set_num_threads(1)
    rows = read(options.rows)
    finished = {row["training"] for row in rows}
    started = time.perf_counter()
    for design in trainings:
        if design.name not in finished and time.perf_counter() - started < options.seconds:
            rows += evaluate(design)
            write(options.rows, rows)
            print(f"{design.name}: {time.perf_counter() - started:.0f} s", flush=True)
    table = summarize([{key: str(value) for key, value in row.items()} for row in rows])
    write(options.output, table)
    for row in table:
        print(row)


def chosen(quick: bool) -> list[Design]:
    """List trainings of both parts in turns, so that a part of them is a sample of all."""
    if quick:
        return [replace(designs(quick=True)[0], epochs=2)]
    small = [design for design in designs() if design.network not in LARGE]
    parts = [[design for design in small if design.chosen_on == is_first][::3] for is_first in (True, False)]
    # Neighbours are alike, so that the order is shuffled by a fixed seed.
    orders = [torch.randperm(len(part), generator=torch.Generator().manual_seed(0)).tolist() for part in parts]
    shuffled = [[part[place] for place in order] for part, order in zip(parts, orders, strict=True)]
    return [design for pair in zip(*shuffled, strict=False) for design in pair]


def evaluations(design: Design, settings: Sequence[Setting]) -> list[Row]:
    """Evaluate the network of a training after every second epoch with all settings."""
    training = train_or_read(design, store_folder())
    watched, pool = split(training.data.val, design.seed)
    previous: dict[Setting, Alarm | None] = dict.fromkeys(settings)
    rows: list[Row] = []
    for epoch, network in list(enumerate(training.networks(), start=1))[EVERY - 1 :: EVERY]:
        start = time.process_time()
        network.load_state_dict(training.states[epoch - 1])
        scores = Scores(network, watched)
        records = {seed: cues_of(network, watched, pool, seed, settings) for seed in {each.seed for each in settings}}
        for setting in settings:
            decision = alarm(few(records[setting.seed], setting), previous=previous[setting])
            previous[setting] = decision
            row: Row = {
                "training": design.name,
                "part": "choice" if design.chosen_on else "report",
                "epoch": epoch,
                "setting": setting.name,
                "alarm": decision.state,
                "cue_stderr": round(cue_error(few(records[setting.seed], setting)), 5),
            }
            rows.append(row | scores.row(setting))
        rows[-1]["seconds"] = round(time.process_time() - start, 2)
    return [{"seconds": "", **row} for row in rows]


def split(val: Images, seed: int) -> tuple[Images, Images]:
    """Draw the watched images, equally many a class and the first of them those of a smaller number, and hosts."""
    order = torch.randperm(len(val.labels), generator=torch.Generator().manual_seed(seed))
    labels = val.labels[order]
    rank = torch.stack([(labels[:row] == labels[row]).sum() for row in range(len(labels))])
    order = order[rank.argsort(stable=True)]
    most = max(setting.images + setting.first for setting in SETTINGS)
    watched, hosts = order[:most], order[most : most + NUM_HOSTS]
    return Images(val.images[watched], val.labels[watched]), Images(val.images[hosts], val.labels[hosts])


class Scores:
    """RCAP of all watched images, computed once for each number of samples and steps."""

    def __init__(self, network: nn.Module, watched: Images) -> None:
        self.network, self.watched = network, watched
        self.tables: dict[tuple[int, int, int], dict[str, Tensor]] = {}

    def row(self, setting: Setting) -> Row:
        """Return mean, standard error and margin over the control of both methods."""
        key = (setting.samples, setting.steps, setting.seed)
        if key not in self.tables:
            self.tables[key] = self._table(*key)
        part = slice(setting.first, setting.first + setting.images)
        control = self.tables[key]["random"][part]
        row: Row = {}
        for method in METHODS:
            values = self.tables[key][method][part]
            for name, each in {"rcap": values, "margin": values - control}.items():
                row[f"{method}_{name}"] = round(each.mean().item(), 5)
                row[f"{method}_{name}_stderr"] = round((each.std() / len(each) ** 0.5).item(), 5)
        return row

    def _table(self, samples: int, steps: int, seed: int) -> dict[str, Tensor]:
        images, labels = self.watched
        if (samples, steps, seed) != (20, 5, 0):  # only the default is seen with more images
            images, labels = images[: DEFAULT.images], labels[: DEFAULT.images]
        methods = [GuidedAbsoluteGrad(samples, seed=seed), GradCAM(), RandomMap()]
        names = ("guided_absolute_grad", "grad_cam", "random")
        maps = explain(self.network, images, labels, dict(zip(names, methods, strict=True)))
        metric = RCAP(interval=INTERVALS[steps])
        scores = score(self.network, images, maps, labels, {"rcap": metric})
        return {name: scores[name]["rcap"].double() for name in names}


def cues_of(
    network: nn.Module, watched: Images, pool: Images, seed: int, settings: Sequence[Setting]
) -> dict[str, Following]:
    """Follow the default cues from all watched images into as many hosts as any setting has."""
    hosts = max(setting.hosts for setting in settings if setting.seed == seed)
    most = max(setting.images + setting.first for setting in settings if setting.seed == seed)
    return follow(
        network,
        watched.images[:most],
        watched.labels[:most],
        hosts=(pool.images, pool.labels),
        num_hosts=hosts,
        seed=seed,
    )


def few(followings: Mapping[str, Following], setting: Setting) -> dict[str, Following]:
    """Return the record that fewer donors and hosts would have left."""
    rows = torch.arange(setting.first, setting.first + setting.images)
    tables = ("hosts", "host_labels", "before", "after")
    return {
        name: replace(
            each.take(rows), **{table: getattr(each.take(rows), table)[:, : setting.hosts] for table in tables}
        )
        for name, each in followings.items()
    }


def cue_error(followings: Mapping[str, Following]) -> float:
    """Return the mean standard error of the effect over cues."""
    return statistics.fmean(each.effect.mean.stderr for each in followings.values() if not each.absence)


def decisions(row: Mapping[str, str]) -> dict[str, int]:
    """Return the decisions of an evaluation: the alarm, and gates on both methods."""
    result = {"alarm": int(row["alarm"]), "alarm_gate": int(row["alarm"] == "0")}
    for method in METHODS:
        margin, error = float(row[f"{method}_margin"]), float(row[f"{method}_margin_stderr"])
        result[f"{method}_bound"] = int(float(row[f"{method}_rcap"]) >= BOUND)
        result[f"{method}_margin"] = int(margin >= 0)
        result[f"{method}_sure_margin"] = int(margin - 2 * error >= 0)
    return result


def summary(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """Compare each setting with the default, on both parts."""
    table: list[Row] = []
    for part in ("choice", "report"):
        defaults = {
            (row["training"], row["epoch"]): row for row in rows if (row["part"], row["setting"]) == (part, "default")
        }
        for setting in SETTINGS:
            group = [row for row in rows if (row["part"], row["setting"]) == (part, setting.name)]
            if group:
                table.append(_summary_row(part, setting, group, defaults))
    return table


def _summary_row(
    part: str,
    setting: Setting,
    rows: Sequence[Mapping[str, str]],
    defaults: Mapping[tuple[str, str], Mapping[str, str]],
) -> Row:
    pairs = [(decisions(row), decisions(defaults[row["training"], row["epoch"]])) for row in rows]
    agreement = {name: statistics.fmean(one[name] == other[name] for one, other in pairs) for name in pairs[0][0]}
    errors = ("guided_absolute_grad_rcap", "guided_absolute_grad_margin", "grad_cam_rcap", "grad_cam_margin")
    return {
        "part": part,
        **setting._asdict(),
        "trainings": len({row["training"] for row in rows}),
        "evaluations": len(rows),
        **{f"{name}_stderr": round(_mean(rows, f"{name}_stderr"), 4) for name in errors},
        "cue_stderr": round(_mean(rows, "cue_stderr"), 4),
        **{f"same_{name}": round(share, 4) for name, share in agreement.items()},
        "same_all": round(statistics.fmean(one == other for one, other in pairs), 4),
    }


def _mean(rows: Sequence[Mapping[str, str]], column: str) -> float:
    return statistics.fmean(float(row[column]) for row in rows)


def read(path: Path) -> list[Row]:
    """Read rows, if there are any."""
    return list(_rows(path)) if path.exists() else []


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from (dict(row) for row in csv.DictReader(file))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=Path("runs/studies/certainty_rows.csv"))
    parser.add_argument("--output", type=Path, default=SUMMARY)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no training later than this")
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
