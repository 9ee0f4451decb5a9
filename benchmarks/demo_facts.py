"""Compute the facts that the demo replays from recorded requests; they are small enough to be read.

What is packaged is quantiles, shares and rank correlations, each with its source; no recorded row leaves its folder.
Latencies and correlations come from one campaign, so they were recorded together. Error shares and token counts come
from another one, because the first kept no failures: that the demo combines the two is written into the file.

    python benchmarks/demo_facts.py [FOLDER]        # writes routeware/demo/facts.toml
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT.parent / "shared" / "data"
TARGET = ROOT / "routeware" / "demo" / "facts.toml"

CAMPAIGN = "2024-07-06"
# The models of the demo's scenes: the flagships of two providers, a small one that is even, and one that stalls.
MODELS = {
    "openai": "gpt-4o-2024-05-13",
    "anthropic": "claude-3-5-sonnet-20240620",
    "google": "gemini-1.5-flash-preview-0514",
    "mistral": "mistral-small-2402",
}
# Dense where p95 and p99 are read off; between two points the demo interpolates.
GRID = (
    *(0.0, 0.01, 0.02, *(step / 20 for step in range(1, 19))),
    *(0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0),
)
# Of the eight hosts, one refused a few of its requests; the others refused none, or (lepton) most.
REFUSING_HOST = "perplexity"
TOKEN_GRID = (0.05, 0.25, 0.5, 0.75, 0.95)

DOCUMENT = """\
# What the demo's providers replay. Computed by benchmarks/demo_facts.py; there is no recorded request in here.
#
# Recorded together are the latencies of the models and their rank correlations: one campaign, the same prompts.
# Recorded elsewhere, and combined with them, are the share of refusals (429) and the token counts.

assumed = [
    "the shares of lost connections and of 500s",
    "that every provider fails alike, and independently of the others",
    "that a 429 and a 500 take as long as the fastest 1% of answers, and a lost connection half of its answer's time",
    "the stalls of mistral: 7% of requests, whichever, at 5 to 8 times the median (recorded at one provider: 5 to 9%)",
    "that a provider that is out answers 503, after as long as its median answer takes",
]

[sources.latency]
gives = "latencies and their rank correlations, recorded together"
repository = "HuanzhiMao/BFCL-Result"
file = "bfcl_quantiles.csv and bfcl_spearman.csv, computed from its results"
date = {date}
requests = {requests}
licence = "none stated: facts computed from it are here, and none of its rows"

[sources.refusals]
gives = "the share of 429s and the token counts, combined with them"
repository = "ray-project/llmperf-leaderboard"
file = "llama2_hosts.csv, merged from its raw results"
date = 2023-12-19
requests = {asked}
licence = "Apache-2.0"
host = "{host}"

[stalls]   # assumed
share = 0.07
from = 5.0   # times the median
to = 8.0

[shares]
rate_limited = {refused_share:.5f}   # recorded: {refused} of {asked}
dropped = 0.007          # assumed
server_error = 0.003     # assumed

[tokens]   # recorded with the refusals
input = {input_tokens}
q = {token_q}
output = {output_tokens}

[models]
{models}
[latency]   # milliseconds at each q
q = {q}
{latency}
[spearman]
{spearman}"""


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def latencies(table: Iterable[Mapping[str, str]]) -> dict[str, list[float]]:
    """Latency in milliseconds at each point of ``GRID``, by provider."""
    curves = {
        (row["provider"], float(row["q"])): float(row["latency_ms"])
        for row in table
        if row["campaign"] == CAMPAIGN and MODELS.get(row["provider"]) == row["model"]
    }
    return {provider: [curves[provider, q] for q in GRID] for provider in MODELS}


def correlations(table: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Spearman correlation over identical prompts, by pair of providers."""
    known = {frozenset((row["model_a"], row["model_b"])): float(row["spearman"]) for row in table}
    names = list(MODELS)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    return {f"{a}/{b}": known[frozenset((MODELS[a], MODELS[b]))] for a, b in pairs}


def refusals(table: Sequence[Mapping[str, str]]) -> tuple[int, int]:
    """How many requests of the refusing host were answered 429, and out of how many."""
    statuses = [row["status"] for row in table if row["provider"] == REFUSING_HOST]
    return statuses.count("429"), len(statuses)


def output_tokens(table: Iterable[Mapping[str, str]]) -> list[int]:
    """Tokens out at each point of ``TOKEN_GRID``, over all answers of full length."""
    counts = [int(row["output_tokens"]) for row in table if row["status"] == "ok" and row["short_output"] == "0"]
    hundredths = statistics.quantiles(counts, n=100, method="inclusive")
    return [round(hundredths[round(q * 100) - 1]) for q in TOKEN_GRID]


def listed(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def lines(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in entries.items())


def document(folder: Path) -> str:
    quantiles, hosts = rows(folder, "bfcl_quantiles.csv"), rows(folder, "llama2_hosts.csv")
    refused, asked = refusals(hosts)
    pairs = correlations(rows(folder, "bfcl_spearman.csv"))
    return DOCUMENT.format(
        date=CAMPAIGN,
        requests=min(int(row["n"]) for row in quantiles if row["model"] in MODELS.values()),
        host=REFUSING_HOST,
        asked=asked,
        refused=refused,
        refused_share=refused / asked,
        input_tokens=statistics.median_low([int(row["input_tokens"]) for row in hosts]),
        token_q=listed(TOKEN_GRID),
        output_tokens=listed(output_tokens(hosts)),
        models=lines({provider: f'"{model}"' for provider, model in MODELS.items()}),
        q=listed(GRID),
        latency=lines({provider: listed(curve) for provider, curve in latencies(quantiles).items()}),
        spearman=lines({f'"{pair}"': f"{value:g}" for pair, value in pairs.items()}),
    )


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0]) if arguments else RECORDED
    if not folder.is_dir():
        print(f"No recorded requests at {folder}: nothing computed, {TARGET.name} stays as it is.")
        return 0
    TARGET.write_text(document(folder), encoding="utf-8")
    print(f"Wrote {TARGET.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
