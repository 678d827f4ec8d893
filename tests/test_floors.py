"""The house's two tables, enforced on the syntax tree of every module: which room may import which, and which library
may be imported where. A new room must be given a floor here before it lands."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = (
    "dialog_rl",
    "plugins/dialog_rl_rewards",
    "plugins/dialog_rl_simulators",
    "plugins/dialog_rl_tau2",
    "plugins/dialog_rl_multiwoz",
    "plugins/dialog_rl_abcd",
    "scenarios/dialog_rl_scenarios",
)

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors seeds text safe_yaml durable faults redaction",),
    ("episode", "scenario pack config"),
    (
        "world gold goals policy_edit sources imported phrasing expressions help_search "
        "metrics failures hacks behaviour chatlogs",
        "chat_server",
        "scoring combination hookspecs",
    ),
    ("conversation", "expert mistakes", "episode_log"),
    ("plugins",),
    ("staging undeserving lint lint_reading lint_sourced", "testing"),
    ("lm", "rl", "chat", "browsing"),
    ("online", "evaluation", "environments", "remote"),
    ("offline", "tui", "serve", "scale"),
    ("bench",),
    ("cli __main__",),
)
"""From the ground up: on each floor its rooms, in each room its modules. A room is a package, or a few single modules
that belong together. A module imports from lower floors and its own room; rooms on one floor do not see each other."""

PLUGIN_FLOOR = 4
"""Plugin and scenario packages see what a stranger's plugin may rely on: everything below this floor."""

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "torch": ("lm", "rl", "online", "evaluation", "offline", "bench", "scale"),
    "transformers": ("lm",),
    "tokenizers": ("lm",),
    "peft": ("lm",),
    "fsspec": ("lm",),
    "jinja2": ("lm",),
    "sentencepiece": ("lm",),
    "safetensors": ("lm", "rl", "online", "offline"),
    "pluggy": ("hookspecs", "plugins"),
    "sqlalchemy": ("episode_log", "bench"),
    "yaml": ("safe_yaml",),
    "pydantic": ("scenario", "pack", "config", "episode_log", "serve"),
    "bm25s": ("help_search",),
    "numpy": ("help_search", "lm", "rl", "online", "evaluation", "bench", "environments"),
    "matplotlib": ("evaluation", "bench"),
    "gymnasium": ("environments",),
    "click": ("cli",),
    "platformdirs": ("config",),
    "fastapi": ("serve",),
    "starlette": ("serve",),
    "uvicorn": ("serve",),
    "ray": ("scale",),
    "h11": ("serve",),
    "textual": ("tui",),
    "textual_serve": ("tui",),
    "aiohttp": ("tui",),
    "rich": ("tui",),
    "pytest": ("testing",),
    "hypothesis": ("testing",),
}
"""Third-party library → the rooms' modules that may import it. A library that is not listed may be used nowhere."""

PLUGIN_LIBRARIES: frozenset[str] = frozenset()
"""Third-party libraries that our own plugin and scenario packages may import."""


def floor_and_room(module: str) -> tuple[int, str] | None:
    """`dialog_rl.lm.policy` → (4, "lm"); None for a module that has been given no floor."""
    top, _, rest = module.partition(".")
    if top != "dialog_rl":
        return PLUGIN_FLOOR, top
    name = rest.partition(".")[0]
    for floor, rooms in enumerate(FLOORS):
        for room in rooms:
            if name in room.split():
                return floor, room
    return None


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in HOUSE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to((ROOT / folder).parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(tree: ast.Module, module: str, known: Mapping[str, object]) -> Iterator[str]:
    """The absolute name of everything imported anywhere in the file, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in known or base == "dialog_rl" else base


def imports_by_string(tree: ast.Module) -> Iterator[str]:
    """House modules named in strings such as "dialog_rl.cli.train:train": an import that comes later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if name in MODULES and name != "dialog_rl":
                yield name


def wrong_house_imports(module: str, wanted: Iterator[str]) -> list[str]:
    """What is wrong with the house modules that `module` imports."""
    own = floor_and_room(module)
    wrong: list[str] = []
    for name in wanted:
        if name.partition(".")[0] not in {Path(folder).name for folder in HOUSE}:
            continue
        if name in ("dialog_rl.__version__", "dialog_rl") or module == "dialog_rl":
            continue
        if name == "dialog_rl.hookimpl":
            if module.startswith("dialog_rl."):
                wrong.append(f"{module} imports hookimpl through the package root; use dialog_rl.hookspecs")
            continue
        other = floor_and_room(name)
        assert own is not None, f"{module} has no floor: give its room one in FLOORS"
        assert other is not None, f"{module} imports {name}, which has no floor"
        if other[1] != own[1] and other[0] >= own[0]:
            wrong.append(f"{module} (floor {own[0]}, {own[1]}) imports {name} (floor {other[0]}, {other[1]})")
    return wrong


def wrong_libraries(module: str, wanted: Iterator[str], stdlib: frozenset[str]) -> list[str]:
    top, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    house = {Path(folder).name for folder in HOUSE}
    wrong: list[str] = []
    for library in {w.partition(".")[0] for w in wanted} - stdlib - house:
        allowed = library in PLUGIN_LIBRARIES if top != "dialog_rl" else name in LIBRARIES.get(library, ())
        if not allowed:
            wrong.append(f"{module} imports {library}")
    return wrong


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other in a circle (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in graph.get(node, ()):
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in MODULES.items()}
BY_NAME = sorted(MODULES)


@pytest.mark.parametrize("module", BY_NAME)
def test_every_module_imports_only_from_its_room_and_the_floors_below(module: str) -> None:
    if module != "dialog_rl":
        assert floor_and_room(module) is not None, f"{module} has no floor: give its room one in FLOORS"
    named = [*imports(TREES[module], module, MODULES), *imports_by_string(TREES[module])]
    own = module.partition(".")[0]
    reach = [n for n in named if n.startswith("dialog_rl.") or n.partition(".")[0] != own]
    assert wrong_house_imports(module, iter(reach)) == []


@pytest.mark.parametrize("module", BY_NAME)
def test_every_library_is_imported_only_where_it_belongs(module: str) -> None:
    import sys

    assert wrong_libraries(module, imports(TREES[module], module, MODULES), sys.stdlib_module_names) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        name: {wanted for wanted in imports(tree, name, MODULES) if wanted in MODULES and wanted != "dialog_rl"}
        for name, tree in TREES.items()
    }
    assert cycles(graph) == []


def test_the_package_root_imports_nothing_when_it_is_imported() -> None:
    at_import = [n for n in TREES["dialog_rl"].body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert {n.module for n in at_import if isinstance(n, ast.ImportFrom)} <= {"__future__", "typing"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dialog_rl.world", "from dialog_rl.lm import policy"),
        ("dialog_rl.world", "def f():\n    import dialog_rl.online.trainer"),
        ("dialog_rl.lm.policy", "from dialog_rl.rl.batch import EpisodeBatch"),
        ("dialog_rl.episode", "from dialog_rl.scenario import Scenario"),
        ("dialog_rl.plugins.loading", "from dialog_rl import hookimpl"),
        ("dialog_rl.world", "import dialog_rl_rewards.task_success"),
        ("dialog_rl_rewards.fluency", "from dialog_rl.lm.policy import Policy"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    known = {**MODULES, "dialog_rl.lm.policy": Path(), "dialog_rl.rl.batch": Path(), "dialog_rl.scenario": Path()}
    assert wrong_house_imports(module, imports(ast.parse(source), module, known))


def test_a_module_without_a_floor_is_found() -> None:
    with pytest.raises(AssertionError, match="has no floor"):
        wrong_house_imports("dialog_rl.newcomer", iter(["dialog_rl.errors"]))


def test_a_library_in_the_wrong_room_is_found() -> None:
    stdlib = frozenset({"json"})
    assert wrong_libraries("dialog_rl.world", iter(["torch.nn", "json"]), stdlib) == ["dialog_rl.world imports torch"]
    assert wrong_libraries("dialog_rl.lm.policy", iter(["torch.nn"]), stdlib) == []
    assert wrong_libraries("dialog_rl_rewards.fluency", iter(["torch"]), stdlib) != []
    assert wrong_libraries("dialog_rl.lm.policy", iter(["leftpad"]), stdlib) != []


def test_a_circle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
