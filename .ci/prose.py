"""Check the English of pages, docstrings, comments and messages: proselint, and a few words of our own.

Run ``python .ci/prose.py [FILE...]`` where proselint is installed; without files it reads all pages and the package.
Code is blanked out first, so that positions stay what they are. Exit codes: 0 nothing found; 1 something was.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from proselint.checks import __register__
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", "docs/**/*.md", "routeware/**/*.py")

# Of proselint: what is wrong in a technical text, too. Its typography and its views on hedging are for essays.
CHECKS = (
    "archaism",
    "cliches",
    "industrial_language",
    "lexical_illusions",
    "malapropisms",
    "misc.apologizing",
    "misc.illogic",
    "misc.phrasal_adjectives.ly",
    "mixed_metaphors",
    "mondegreens",
    "needless_variants",
    "nonwords",
    "oxymorons",
    "redundancy",
    "social_awareness",
    "spelling",
    "terms",
    "uncomparables",
)

# Riddles as subjects, and words that are correct and that no other documentation uses.
WORDS = {
    r"somebody|nobody": "name who: a caller, a reader, another process, no provider",
    r"likewise": "say it",
    r"\bdear\b": "expensive",
    r"\bcomes? to the same\b|\bit comes to\b": "is",
    r"\b(is|are|was|were) told\b": "learns, is informed; or turn the sentence around",
    r"\bwhat became of\b|\bwhat becomes of\b": "the status, the outcome, how it ended",
    r"\bto the letter\b|\bfor good\b": "exactly; permanently",
}


def prose(path: Path) -> str:
    """Return the text of a file with everything that is not prose blanked out."""
    text = path.read_text(encoding="utf-8")
    kept = _of_python(text) if path.suffix == ".py" else re.sub(r"(?ms)^```.*?^```", _blank, text)
    kept = re.sub(r"``[^`]+``|`[^`\n]+`|:\w+:`[^`]+`", lambda code: re.sub(r"\S", "·", code[0]), kept)
    return re.sub(r"\]\([^)]*\)|<https?:[^>]*>|https?:\S+", _blank, kept)


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _of_python(text: str) -> str:
    """Keep docstrings, comments, and texts with a blank in them: messages."""
    lines = [re.sub(r"[^\n]", " ", line) for line in text.splitlines(keepends=True)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        middle = getattr(tokenize, "FSTRING_MIDDLE", None)
        if token.type == tokenize.COMMENT or (token.type in (tokenize.STRING, middle) and " " in token.string):
            _copy(text.splitlines(keepends=True), lines, token.start, token.end)
    return "".join(lines)


def _copy(source: list[str], lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> None:
    for row in range(start[0] - 1, end[0]):
        first = start[1] if row == start[0] - 1 else 0
        last = end[1] if row == end[0] - 1 else len(source[row])
        lines[row] = lines[row][:first] + source[row][first:last] + lines[row][last:]


def found(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the problem, for everything that is found in a file."""
    text = prose(path)
    for result in LintFile(path.name, text).lint({"max_errors": 1000, "checks": dict.fromkeys(CHECKS, True)}):
        # The end of one paragraph is not the start of the next, and numbers may stand twice.
        if not re.search(r"\n\n|illusion in '\d", result.check_result.message):
            yield result.pos[0] - 1, result.check_result.message
    for words, advice in WORDS.items():
        for match in re.finditer(words, text, re.IGNORECASE):
            yield text.count("\n", 0, match.start()) + 1, f"{match[0]!r}: {advice}"


def main() -> None:
    """Read the files, and print what was found."""
    CheckRegistry().register_many(__register__)
    paths = [Path(name) for name in sys.argv[1:]] or sorted(path for page in PAGES for path in ROOT.glob(page))
    problems = [f"{path}:{line}: {problem}" for path in paths for line, problem in sorted(found(path))]
    print("\n".join(problems) or f"Nothing found in {len(paths)} files.")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
