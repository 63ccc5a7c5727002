#!/usr/bin/env python3
"""Real series with injected faults, as a labelled corpus in the folder format of the scenarios.

    tests/scenarios/inject.py SCENARIOS_DIR SERIES.csv OUT_DIR [--seed 11] [--sparse] [--skip 2] [--series 50] [--each 6] [--kinds LIST]

SERIES.csv has a line a day: series,day,kpi,parent (such as store, date, baskets, sales). Series are taken by volume, the
largest --skip left out; each is drawn --each times with one of the --kinds, a fault or something that is none, at a day by
chance. --sparse is for counts of a few a day: stronger faults, and the same kind may be drawn twice for a series. A kind that
is named twice is drawn twice as often. Targets are the true period within some 10 %.
"""
import argparse
import csv
import datetime as dt
import math
import os
import random
import sys

KINDS = ("healthy", "hollow", "gaming", "uncredited", "gradual_decoupling", "feed_gap", "unit_change", "shared_shock",
         "target_reset", "late_data")
KPI, PARENT = STREAMS = ("kpi", "parent")


def load(path):
    """First day, number of days, and the two flows of each series."""
    with open(path, newline="", encoding="utf-8") as fh:
        rows = list(csv.DictReader(fh))
    days = [dt.date.fromisoformat(row["day"]) for row in rows]
    start = min(days)
    count = (max(days) - start).days + 1
    series = {}
    for row, day in zip(rows, days):
        flows = series.setdefault(row["series"], {stream: [0.0] * count for stream in STREAMS})
        for stream in STREAMS:
            flows[stream][(day - start).days] = float(row[stream])
    return start, count, series


def fault_of(scenario, rng, onset, sparse):
    """What is drawn of a fault, and the day on which it is over, if it ends."""
    end = None
    fault = {}
    stream = lambda share: KPI if rng.random() < share else PARENT
    if scenario == "hollow":
        fault = dict(drop=rng.uniform(.3, .6) if sparse else rng.uniform(.2, .5), ramp=rng.randint(0, 10))
    elif scenario == "gaming":
        fault = dict(jump=rng.uniform(1.35, 2.2), ramp=rng.randint(0, 7))
    elif scenario == "uncredited":
        fault = dict(lift=rng.uniform(1.25, 1.7), ramp=rng.randint(0, 14))
    elif scenario == "gradual_decoupling":
        fault = dict(drop=rng.uniform(.4, .75), ramp=60)
    elif scenario == "feed_gap":
        fault = dict(stream=stream(.7), days=rng.randint(4, 12), backfill=rng.random() < .5)
        end = onset + fault["days"]
    elif scenario == "unit_change":
        fault = dict(stream=stream(.6), factor=rng.choice([100, 100, 1000, .01, 10]))
        end = onset + rng.randint(7, 30) if rng.random() < .5 else None
    elif scenario == "shared_shock":
        fault = dict(drop=rng.uniform(.3, .6), days=rng.randint(10, 40))
        end = onset + fault["days"] + 5
    elif scenario == "target_reset":
        fault = dict(stream=stream(.6), ratio=rng.uniform(.6, .85) if rng.random() < .5 else rng.uniform(1.2, 1.5))
    return fault, end


def flows_of(generate, clean, scenario, fault, onset, end, rng):
    """The two flows with the fault in them. Counts stay counts."""
    raw = {stream: [] for stream in STREAMS}
    for day, (kpi, parent) in enumerate(zip(clean[KPI], clean[PARENT])):
        on = generate._ramp(day, onset, fault.get("ramp", 0))
        if scenario in ("hollow", "gradual_decoupling"):
            parent *= 1 - fault["drop"] * on
        elif scenario == "gaming":
            extra = kpi * (fault["jump"] - 1) * on
            kpi += math.floor(extra) + (rng.random() < extra - math.floor(extra))
        elif scenario == "uncredited":
            parent *= 1 + (fault["lift"] - 1) * on
        elif scenario == "shared_shock":
            share = 1 - fault["drop"] * (generate._ramp(day, onset, 2) - generate._ramp(day, onset + fault["days"], 5))
            kept = sum(rng.random() < share for _ in range(int(kpi)))
            parent *= kept / kpi if kpi else 1
            kpi = float(kept)
        elif scenario == "unit_change" and day >= onset and (end is None or day < end):
            kpi *= fault["factor"] if fault["stream"] == KPI else 1
            parent *= fault["factor"] if fault["stream"] == PARENT else 1
        raw[KPI].append(round(kpi, 4))
        raw[PARENT].append(round(parent, 2))
    return raw


def arrivals_of(raw, scenario, fault, onset, end, late):
    count = len(raw[KPI])
    arrivals = [[] for _ in range(count)]
    for stream in STREAMS:
        for day, value in enumerate(raw[stream]):
            if value == 0:
                continue
            if scenario == "feed_gap" and stream == fault["stream"] and onset <= day < end:
                if fault["backfill"]:
                    arrivals[end].append((day, stream, value))
                continue
            if stream not in late:
                arrivals[day].append((day, stream, value))
                continue
            share, most = (.85, 9) if onset <= day < end else late[stream]
            for delay in range(most + 1):
                part = round(value * (1 - share) if delay == 0 else value * share / most, 4)
                if day + delay < count and part:
                    arrivals[day + delay].append((day, stream, part))
    return arrivals


def pair_of(generate, seed, index, name, clean, start, scenario, sparse):
    rng = random.Random("%s:%s:%s" % (seed, index, scenario))
    pair = generate.Pair()
    pair.id, pair.scenario, pair.start, pair.n = "r%04d" % index, scenario, start, len(clean[KPI])
    pair.kpi_name, pair.parent_name = "kpi-" + name, "parent-" + name
    pair.period = "month" if rng.random() < .7 else "quarter"
    window = generate.WINDOW.get(scenario, 60)
    onset = rng.randint(150, pair.n - max(window, 60) - 10)
    fault, end = fault_of(scenario, rng, onset, sparse)
    late = {}
    if scenario == "late_data":
        late = {stream: (rng.uniform(.3, .7), rng.randint(2, 6)) for stream in rng.choice([[KPI], [PARENT], [KPI, PARENT]])}
        end = onset + 30
    pair.raw = flows_of(generate, clean, scenario, fault, onset, end, rng)
    pair.arrivals = arrivals_of(pair.raw, scenario, fault, onset, end, late)
    for stream in STREAMS:
        stretch, scale = rng.uniform(.92, 1.08), 1.0
        for first, last in generate.period_bounds(start, pair.n, pair.period):
            days = clean[stream][first:min(last, pair.n)]
            true = sum(days) * (last - first) / max(1, len(days))
            target = max(true * stretch * math.exp(rng.gauss(0, .05)), 1.0)

            def announce(day, value):
                pair.targets.append(dict(stream=stream, announced=day, start=first, end=last, target=generate._round3(value)))

            announce(first, target * scale)
            if scenario == "target_reset" and stream == fault["stream"] and first <= onset < last:
                scale = fault["ratio"]
                announce(onset, target * scale)
        pair.history[stream] = []
    pair.params = dict(series=name)
    is_fault = scenario in generate.FAULTS
    pair.truth = dict(expect="alert" if is_fault else "none", kind=scenario, accept=generate.ACCEPT[scenario] if is_fault else [],
                      onset=None if scenario == "healthy" else onset, end=end, fault=fault,
                      window=(fault["days"] + 3 if scenario == "feed_gap" else window) if is_fault else 0)
    return pair


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios")
    parser.add_argument("input")
    parser.add_argument("out")
    parser.add_argument("--seed", default="11")
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--series", type=int, default=12)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        parser.error("no such kind: %s; there are %s" % (", ".join(unknown), ", ".join(KINDS)))
    if not args.sparse and args.each > len(kinds):
        parser.error("%d kinds cannot be drawn from %d without drawing one twice: --each %d, or --sparse" % (args.each, len(kinds), len(kinds)))
    sys.path.insert(0, os.path.abspath(args.scenarios))
    import generate
    start, _, series = load(args.input)
    names = sorted(series, key=lambda name: -sum(series[name][KPI]))[args.skip:args.skip + args.series]
    rng = random.Random("%s%s" % ("stores" if args.sparse else "departments", args.seed))
    pairs = []
    for name in names:
        drawn = [rng.choice(kinds) for _ in range(args.each)] if args.sparse else rng.sample(kinds, args.each)
        for scenario in drawn:
            pairs.append(pair_of(generate, args.seed, len(pairs), name, series[name], start, scenario, args.sparse))
    generate.write_corpus(pairs, args.out, args.seed)
    print("%d series, %d pairs -> %s" % (len(names), len(pairs), args.out))


if __name__ == "__main__":
    main()
