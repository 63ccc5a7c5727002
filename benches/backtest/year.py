"""A year of links: a catalogue, settings and events for `tautline backtest`. The same numbers every time.

    year.py DIR [LINKS] [DAYS]

Every link is a store: its visits are a KPI, its sales the business. Both come once a day, with weekends, a season and noise;
in one store of twenty sales fall by 40 % for the last third, which is what there is to find.
"""
import datetime as dt
import json
import math
import os
import random
import sys

CATALOG = """sources:
  shop: {topics: [shop], format: json, time: t, fields: {kind: kind, store: store, value: value}}
metrics:
  sales:  {source: shop, agg: sum, expr: value, filter: kind == "sales", dimensions: [store]}
  visits: {source: shop, agg: sum, expr: value, filter: kind == "visits", dimensions: [store]}
nodes:
  sales:  {metric: sales, role: business, each: [store], period: month, profile: linear, target: 150_000}
  visits: {metric: visits, role: kpi, owner: stores, parent: sales, relation: influence, each: [store], period: month, profile: linear, target: 3_000}
"""
SETTINGS = "kafka: {brokers: '127.0.0.1:1', group: backtest}\ncatalog: catalog/\nlanguage: en\n"
FIRST = dt.date(2025, 1, 1)


def main(folder, links, days):
    os.makedirs(os.path.join(folder, "catalog"), exist_ok=True)
    for name, text in (("catalog/year.yaml", CATALOG), ("tautline.yaml", SETTINGS)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)
    rng = random.Random(1)
    size = [rng.uniform(0.9, 1.1) for _ in range(links)]
    with open(os.path.join(folder, "events.ndjson"), "w", encoding="utf-8") as out:
        for day in range(days):
            date = FIRST + dt.timedelta(days=day)
            usual = (1.3 if date.weekday() > 4 else 0.9) * (1 + 0.2 * math.sin(day / 365 * math.tau))
            for store in range(links):
                visits = 100 * size[store] * usual * rng.lognormvariate(0, 0.15)
                sales = 50 * visits * rng.lognormvariate(0, 0.1)
                if store % 20 == 0 and day >= days * 2 // 3:
                    sales *= 0.6
                for kind, value in (("visits", visits), ("sales", sales)):
                    event = {"t": "%sT12:00:00Z" % date, "kind": kind, "store": "s%d" % store, "value": round(value, 2)}
                    out.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000, int(sys.argv[3]) if len(sys.argv) > 3 else 365)
