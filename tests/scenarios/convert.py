"""A corpus folder as a catalogue, targets and events for tautline, and its episodes as the scorer's lines.

    convert.py into CORPUS_DIR WORK_DIR
    convert.py back CORPUS_DIR EPISODES.ndjson ALERTS.ndjson

Every pair is one instance of a KPI node and of the business node that it serves; pairs share nodes by their period.
"""
import csv
import datetime as dt
import json
import os
import sys

STREAMS = ("kpi", "parent")
PERIODS = ("day", "week", "month", "quarter", "half", "year")
JUDGED = ("hollow", "gaming", "uncredited", "weak_link", "lag_change", "feed_gap", "unit_change")


def load(corpus):
    with open(os.path.join(corpus, "catalog.json"), encoding="utf-8") as fh:
        return json.load(fh)


def period_of(pair, lengths):
    """The pair's kind of period: as it says, else as long as its targets are."""
    if pair.get("period") in PERIODS:
        return pair["period"]
    days = sorted(lengths)[len(lengths) // 2] if lengths else 30
    return next(kind for kind, most in zip(PERIODS, (3, 20, 60, 120, 200, 10 ** 6)) if days <= most)


def into(corpus, work):
    pairs = load(corpus)
    targets, lengths = {}, {}
    with open(os.path.join(corpus, "targets.csv"), newline="", encoding="utf-8") as fh:
        for row in csv.DictReader(fh):
            targets.setdefault(row["pair"], []).append(row)
            start, end = (dt.date.fromisoformat(row[k][:10]) for k in ("period_start", "period_end"))
            lengths.setdefault(row["pair"], []).append((end - start).days)
    catalog = os.path.join(work, "catalog")
    os.makedirs(catalog)
    kinds = {p["pair"]: period_of(p, lengths.get(p["pair"], [])) for p in pairs}
    used = sorted(set(kinds.values()))
    for kind in used:
        for stream in STREAMS:
            with open(os.path.join(catalog, "%s-%s.csv" % (stream, kind)), "w", newline="", encoding="utf-8") as fh:
                out = csv.writer(fh)
                out.writerow(["start", "pair", "target", "announced"])
                for p in pairs:
                    for row in targets.get(p["pair"], []) if kinds[p["pair"]] == kind else []:
                        if row["stream"] == stream:
                            out.writerow([row["period_start"][:10], p["pair"], row["target"], row["announced"][:10]])
            with open(os.path.join(catalog, "%s-%s-last-year.csv" % (stream, kind)), "w", newline="", encoding="utf-8") as fh:
                out = csv.writer(fh)
                out.writerow(["month", "pair", "rate"])
                for p in pairs:
                    rates = (p.get("last_year_monthly_rate") or {}).get(stream) or []
                    if kinds[p["pair"]] == kind and len(rates) == 12 and all(r and r > 0 for r in rates):
                        for month, rate in enumerate(rates, 1):
                            out.writerow([month, p["pair"], repr(float(rate))])
    calendar = ["calendar:", "  timezone: UTC"]
    if holidays(corpus, os.path.join(catalog, "holidays.csv")):
        calendar.append("  holidays: holidays.csv")
    lines = calendar + [
        "sources:",
        "  corpus: {topics: [corpus], format: json, time: time, max_skew: 3650d, fields: {pair: pair, stream: stream, value: value}}",
        "metrics:",
    ]
    for stream in STREAMS:
        lines.append("  %s: {source: corpus, agg: sum, expr: value, filter: stream == \"%s\", dimensions: [pair]}" % (stream, stream))
    lines.append("nodes:")
    off = "behind_pace: off, target_at_risk: off, unreconciled: off"
    for kind in used:
        common = "each: [pair], period: %s, profile: linear" % kind
        files = "target: {file: %s-{0}.csv}, last_year: {file: %s-{0}-last-year.csv}".replace("{0}", kind)
        lines.append("  parent-%s: {metric: parent, role: business, %s, %s, rules: {%s}}" % (kind, common, files % ("parent", "parent"), off))
        lines.append("  kpi-%s: {metric: kpi, role: kpi, owner: owner, parent: parent-%s, relation: influence, %s, %s, rules: {%s}}" % (
            kind, kind, common, files % ("kpi", "kpi"), off))
    with open(os.path.join(catalog, "corpus.yaml"), "w", encoding="utf-8") as fh:
        fh.write("\n".join(lines) + "\n")
    with open(os.path.join(work, "tautline.yaml"), "w", encoding="utf-8") as fh:
        fh.write("kafka: {brokers: '127.0.0.1:1', group: backtest}\ncatalog: catalog/\nlanguage: en\n")
    known = set(kinds)
    with open(os.path.join(corpus, "daily.csv"), newline="", encoding="utf-8") as fh, \
            open(os.path.join(work, "events.ndjson"), "w", encoding="utf-8") as out:
        for row in csv.DictReader(fh):
            if row["pair"] not in known or row["stream"] not in STREAMS or not row["value"]:
                continue
            event = {"pair": row["pair"], "stream": row["stream"], "value": float(row["value"]),
                     "time": row["event_date"][:10] + "T12:00:00Z", "_arrival": row["arrival_date"][:10] + "T23:00:00Z"}
            out.write(json.dumps(event, separators=(",", ":")) + "\n")


def holidays(corpus, to):
    """Copies the special days, if there are any."""
    path = os.path.join(corpus, "holidays.csv")
    if not os.path.exists(path):
        return False
    rows = {}
    with open(path, newline="", encoding="utf-8-sig") as fh:
        for row in csv.DictReader(fh):
            if row.get("date") and row.get("kind") in ("holiday", "workday", "promotion"):
                rows.setdefault(row["date"][:10], (row["kind"], row.get("name") or row["kind"]))
    with open(to, "w", newline="", encoding="utf-8") as fh:
        out = csv.writer(fh)
        out.writerow(["date", "kind", "name"])
        out.writerows((date, kind, name) for date, (kind, name) in sorted(rows.items()))
    return bool(rows)


def back(corpus, episodes, alerts):
    # A pair's record ends: that nothing comes afterwards is no finding.
    end = {p["pair"]: dt.date.fromisoformat(p["start"][:10]) + dt.timedelta(days=p["days"]) for p in load(corpus)}
    with open(episodes, encoding="utf-8") as fh, open(alerts, "w", encoding="utf-8") as out:
        for line in fh:
            if not line.strip():
                continue
            episode = json.loads(line)
            pair = (episode.get("dimensions") or {}).get("pair")
            if pair not in end or episode["kind"] not in JUDGED:
                continue
            raised, cleared = episode["raised"][:10], episode["cleared"] and episode["cleared"][:10]
            if dt.date.fromisoformat(raised) >= end[pair]:
                continue
            if cleared and dt.date.fromisoformat(cleared) >= end[pair]:
                cleared = None
            out.write(json.dumps({"pair": pair, "kind": episode["kind"], "raised": raised, "cleared": cleared}) + "\n")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "into":
        into(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 5 and sys.argv[1] == "back":
        back(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
