"""The rules of the tree, each a test that fails the build: who imports whom, how long a function is, what is never there.

The order of the rooms is read from docs/design.md, so page and code cannot part. Every guard is also shown a small tree
that breaks its rule.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
LONGEST_FUNCTION = 60
HELP_SECONDS = 0.5
LIGHT = ("rung", "rung.cli.main", "rung.task", "rung.stats", "rung.metrics", "rung.ladder.decision")
HEAVY = {"torch", "transformers", "scipy", "datasets", "sklearn", "pandas", "peft"}
WITH_TORCH = {"model", "generate", "system", "train"}
FRONT_DOORS = {"rung", "rung.__main__"}
NO_HOMES = {"utils.py", "helpers.py", "common.py", "misc.py"}
TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".jsonl", ".tsv", ".csv", ".html", ".sh", ".cff", ""}

Sources = Mapping[str, str]  # dotted module name -> source; a package is named by its folder


def sources() -> dict[str, str]:
    found = {}
    for file in sorted(SRC.rglob("*.py")):
        parts = file.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return found


def rooms() -> dict[str, int]:
    """The level of each room, 0 the lowest: the list in docs/design.md, top to bottom."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    block = page.partition("Imports go down this list only")[2].split("```")[1].strip()
    lines = block.splitlines()
    return {room: len(lines) - n for n, line in enumerate(lines) for room in line.split(" · ")}


def packages(given: Sources) -> set[str]:
    return {name for name in given if any(other.startswith(f"{name}.") for other in given)}


def imports(given: Sources) -> Iterator[tuple[str, str]]:
    """(importing module, imported module of the tree), at any depth, those for type checking included."""
    parents = packages(given)
    for module, source in given.items():
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names if alias.name in given)
            elif isinstance(node, ast.ImportFrom):
                home = module if module in parents else module.rpartition(".")[0]
                up = home.split(".")[: len(home.split(".")) - node.level + 1] if node.level else []
                stem = ".".join([*up, *([node.module] if node.module else [])])
                for alias in node.names:
                    whole = f"{stem}.{alias.name}"
                    if whole in given or stem in given:
                        yield module, whole if whole in given else stem


def broken_rule(given: Sources, levels: Mapping[str, int]) -> list[str]:
    """Imports that go up or sideways. The front door, `rung` itself, loads on use and may name every room."""
    found = []
    for module, other in imports(given):
        if module in FRONT_DOORS:
            continue
        room, below = module.split(".")[1], other.split(".")[1] if "." in other else "the front door"
        if room != below and levels[room] <= levels.get(below, 99):
            found.append(f"{module} imports {other}")
    return found


def circles(given: Sources) -> list[list[str]]:
    """Import circles among the modules, function-level imports counted: strongly connected sets of two or more."""
    after: dict[str, set[str]] = {name: set() for name in given}
    for module, other in imports(given):
        if module != "rung":
            after[module].add(other)

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for other in after[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    beyond = {name: reach(name) for name in given}
    found = {tuple(sorted({name, *(o for o in ahead if name in beyond[o])})) for name, ahead in beyond.items()
             if name in ahead}  # fmt: skip
    return [list(circle) for circle in sorted(found)]


def long_functions(given: Sources, most: int = LONGEST_FUNCTION) -> list[str]:
    found = []
    for module, source in given.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > most:
                    found.append(f"{module}.{node.name}: {lines} lines")
    return found


def heavy_imports(given: Sources) -> list[str]:
    """Module-level imports of heavy libraries outside the rooms that may have them; `if TYPE_CHECKING` is no import."""
    found = []
    for module, source in given.items():
        for node in ast.parse(source).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            room = [*module.split("."), ""][1]
            found += [f"{module} imports {n}" for n in names if n.split(".")[0] in HEAVY and room not in WITH_TORCH]
    return found


PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}


def pickle_uses(given: Sources) -> list[str]:
    """Ways to run code by reading a file: pickle and its kin, `torch.load`, `allow_pickle=True`, `weights_only=False`."""
    found = []
    for module, source in given.items():
        for node in ast.walk(ast.parse(source)):
            said = ""
            if isinstance(node, ast.Import):
                said = next((alias.name for alias in node.names if alias.name.split(".")[0] in PICKLES), "")
            elif isinstance(node, ast.ImportFrom):
                loads = node.module == "torch" and any(alias.name == "load" for alias in node.names)
                said = node.module or "" if loads or (node.module or "").split(".")[0] in PICKLES else ""
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                said = "torch.load" if (node.value.id, node.attr) == ("torch", "load") else ""
            elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                unsafe = {("allow_pickle", True), ("weights_only", False), ("use_safetensors", False)}
                said = node.arg or "" if (node.arg, node.value.value) in unsafe else ""
            if said:
                found.append(f"{module}: {said}")
    return found


# The rules, on the tree


def test_the_page_lists_every_room() -> None:
    levels = rooms()
    found = {name.split(".")[1] for name in sources() if "." in name and name not in FRONT_DOORS}
    assert found == levels.keys() and len(set(levels.values())) > 8


def test_imports_go_down() -> None:
    assert broken_rule(sources(), rooms()) == []


def test_no_import_circle() -> None:
    assert circles(sources()) == []


def test_no_long_function() -> None:
    assert long_functions(sources() | other_python()) == []


def test_heavy_libraries_are_imported_late() -> None:
    assert heavy_imports(sources()) == []


def test_nothing_is_unpickled() -> None:
    assert pickle_uses(sources()) == []


def test_no_file_without_a_subject() -> None:
    assert [str(file) for file in tree() if file.name in NO_HOMES] == []


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(module: str) -> None:
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert HEAVY & set(json.loads(loaded.stdout)) == set()


def test_help_is_fast() -> None:
    """Processor seconds of `rung --help`, the median of three; a busy machine, whose caches are others', has twice."""
    resource = pytest.importorskip("resource")
    code = "import sys; from rung.cli import main; sys.argv = ['rung', '--help']; main()"
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "climb" in shown.stdout
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    assert statistics.median(spent) < HELP_SECONDS * (2 if busy else 1), spent


# Words


def tree() -> list[Path]:
    """Every file that belongs to the project: what git keeps or would keep, else all but hidden and built folders."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, check=False) if (ROOT / ".git").exists() else None  # fmt: skip
    if listed is not None and listed.returncode == 0:
        found = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
        return sorted(file for file in found if file.is_file())
    return sorted(
        file
        for file in ROOT.rglob("*")
        if file.is_file() and not any(p.startswith(".") or p in ("build", "dist", "runs") for p in file.relative_to(ROOT).parts)
    )  # fmt: skip


def other_python() -> dict[str, str]:
    """The project's Python outside src, by path."""
    files = [file for file in tree() if file.suffix == ".py" and not file.is_relative_to(SRC)]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def prose(name: str, text: str) -> str:
    """What of a file is written for readers: of Python the comments and docstrings, of others all."""
    if not name.endswith(".py"):
        return text
    kept = [
        part.string for part in tokenize.generate_tokens(io.StringIO(text).readline) if part.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept.append(ast.get_docstring(node) or "")
    return "\n".join(kept)


# Put together from parts, so that this file does not hold what it looks for.
ISSUE = re.compile(r"(?<![\w&#])" + "#" + r"\d{1,6}\b(?![0-9a-fA-F-])")
PLACE = re.compile(r"(?<![\w.}\])])/" + r"(?:wo" + r"rk\b|ro" + r"ot/|home/\w|tmp/\w)")
REGISTRY = re.compile("|".join(re.escape(host) for host in (
    "py" + "pi.org", "python" + "hosted.org", "registry.npm" + "js", "crates" + ".io", "conda.ana" + "conda",
    "rubygems" + ".org", "proxy.go" + "lang",
)))  # fmt: skip


def unwanted(name: str, text: str) -> list[str]:
    """Issue numbers in prose, paths of a machine, hosts of package registries."""
    found = [*PLACE.findall(text), *REGISTRY.findall(text)]
    if Path(name).suffix in {".py", ".md", ".yaml", ".yml", ".toml", ""}:
        found += ISSUE.findall(prose(name, text))
    return found


def test_words_that_must_not_be_there() -> None:
    found = {}
    for file in tree():
        if file.suffix in TEXTS:
            name = str(file.relative_to(ROOT))
            if bad := unwanted(name, file.read_text(encoding="utf-8", errors="replace")):
                found[name] = bad
    assert found == {}


# The guards themselves, each on a tree that breaks its rule

LEVELS = {"cli": 3, "task": 2, "data": 2, "types": 1}


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("rung.types", "def f():\n    from rung.task.spec import x", True),
        ("rung.task.spec", "from rung.data import mixture", True),
        ("rung.task.spec", "import rung", True),
        ("rung.task.spec", "from rung.types import x", False),
        ("rung.task.spec", "from . import rows\nfrom ..types import x", False),
        ("rung.cli", "import rung.task.spec", False),
        ("rung", "def f():\n    from rung.cli import main", False),
    ],
)
def test_guard_of_the_rule(module: str, source: str, broken: bool) -> None:
    given = dict.fromkeys(["rung", "rung.types", "rung.task", "rung.task.spec", "rung.task.rows", "rung.data",
                           "rung.data.mixture", "rung.cli"], "")  # fmt: skip
    assert bool(broken_rule(given | {module: source}, LEVELS)) is broken


def test_guard_of_circles() -> None:
    straight = {"rung": "from rung.a import x", "rung.a": "import rung.b", "rung.b": "", "rung.c": "import rung.a"}
    assert circles(straight) == []
    late = "def f():\n    from rung.c import y"
    assert circles(straight | {"rung.b": late}) == [["rung.a", "rung.b", "rung.c"]]
    assert circles({"rung.p": "from rung.p.q import x", "rung.p.q": "from rung.p import x"}) == [["rung.p", "rung.p.q"]]


def test_guard_of_long_functions() -> None:
    body = "\n".join("    x = 1" for _ in range(LONGEST_FUNCTION))
    assert long_functions({"m": f"def f():\n{body}"}) == ["m.f: 61 lines"]
    assert long_functions({"m": f"def f():\n{body[10:]}"}) == []


def test_guard_of_heavy_imports() -> None:
    assert heavy_imports({"rung.task.rows": "import scipy.stats", "rung": "from torch import nn"}) == [
        "rung.task.rows imports scipy.stats", "rung imports torch",
    ]  # fmt: skip
    late = "if TYPE_CHECKING:\n    import torch\ndef f():\n    import torch"
    assert heavy_imports({"rung.model.load": "import torch", "rung.task.rows": late}) == []


@pytest.mark.parametrize(
    ("source", "unsafe"),
    [
        ("import pickle", True),
        ("from joblib import load", True),
        ("def f():\n    return torch.load(x)", True),
        ("from torch import load", True),
        ("np.load(x, allow_pickle=True)", True),
        ("np.load(x, allow_pickle=False)", False),
        ("from safetensors.torch import load_file\njson.load(x)", False),
    ],
)
def test_guard_of_pickles(source: str, unsafe: bool) -> None:
    assert bool(pickle_uses({"rung.model.load": source})) is unsafe


@pytest.mark.parametrize(
    ("name", "text", "bad"),
    [
        ("a.md", "mended in " + "#" + "12", True),
        ("a.py", "x = 1  # see " + "#" + "12", True),
        ("a.py", "colour = '" + "#" + "123'", False),
        ("a.md", "a step behind ####, data.json#train, &" + "#" + "39;", False),
        ("a.json", '{"path": "/wo' + 'rk/main"}', True),
        ("a.md", "framework, runs/work and /workers", False),
        ("a.toml", "index = 'https://py" + "pi.org/simple'", True),
    ],
)
def test_guard_of_words(name: str, text: str, bad: bool) -> None:
    assert bool(unwanted(name, text)) is bad
