"""What no module may do, whatever its room: read from the syntax tree, so that a comment cannot switch it off."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("dialog_rl", "plugins", "scenarios") for path in (ROOT / folder).rglob("*.py"))

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_YAML = {
    "load",
    "load_all",
    "unsafe_load",
    "unsafe_load_all",
    "full_load",
    "full_load_all",
    "Loader",
    "UnsafeLoader",
}
GLOBAL_SEEDS = {"random.seed", "np.random.seed", "numpy.random.seed"}
SQL_SINKS = {"execute", "exec_driver_sql", "text", "executescript", "executemany"}
MAX_FUNCTION_LINES = 60


def violations(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml" and node.attr in UNSAFE_YAML:
            yield node.lineno, f"yaml.{node.attr}: use dialog_rl.safe_yaml"
        elif isinstance(node, ast.Call):
            yield from _calls(node)
        elif isinstance(node, ast.ExceptHandler):
            yield from _handlers(node, lines)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines; at most {MAX_FUNCTION_LINES}"


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str]]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    for name in names:
        if name.partition(".")[0] in UNPICKLERS:
            yield node.lineno, f"{name}: loading it runs code"
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        yield node.lineno, "a star import"


def _calls(node: ast.Call) -> Iterator[tuple[int, str]]:
    name = ast.unparse(node.func)
    keywords = {k.arg: k.value for k in node.keywords}
    if name == "torch.load" and not _is_literal(keywords.get("weights_only"), True):
        yield node.lineno, "torch.load without weights_only=True: it unpickles"
    if "trust_remote_code" in keywords and not _is_literal(keywords["trust_remote_code"], False):
        yield node.lineno, "trust_remote_code must be the literal False"
    if name in ("eval", "exec", "os.system", "os.popen") or _is_literal(keywords.get("shell"), True):
        yield node.lineno, f"{name}: runs text as code"
    if name in GLOBAL_SEEDS:
        yield node.lineno, f"{name}: seeds a generator that is not ours; pass one in"
    if name.rpartition(".")[2] in SQL_SINKS and node.args and _is_built(node.args[0]):
        yield node.lineno, f"{name}: SQL made by formatting; bind parameters instead"
    if name in ("Static", "textual.widgets.Static") and node.args and not _is_literal(keywords.get("markup"), False):
        if not (isinstance(node.args[0], ast.Call) and "Content" in ast.unparse(node.args[0].func)):
            yield node.lineno, "Static(text) without markup=False: text from a model could be read as markup"


def _handlers(node: ast.ExceptHandler, lines: list[str]) -> Iterator[tuple[int, str]]:
    caught = ast.unparse(node.type) if node.type else ""
    if node.type is None:
        yield node.lineno, "a bare except also swallows Ctrl-C; name what is expected"
        return
    broad = any(word in caught.strip("()").replace(" ", "").split(",") for word in ("Exception", "BaseException"))
    reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
    if broad and all(isinstance(statement, ast.Pass) for statement in node.body):
        yield node.lineno, f"except {caught}: pass hides every fault"
    elif broad and not reraises and "#" not in lines[node.lineno - 1]:
        yield node.lineno, f"except {caught} must say on its line why everything may be caught here"


def _is_literal(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_built(node: ast.expr) -> bool:
    """An f-string with values in it, or text put together with +, % or format."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(n, ast.Constant) and isinstance(n.value, str) for n in ast.walk(node))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_keeps_the_house_rules(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    found = violations(ast.parse(source), source.splitlines())
    assert [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in found] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "from os import *",
        "yaml.load(f, Loader=yaml.SafeLoader)",
        "yaml.unsafe_load(f)",
        "torch.load(path)",
        "torch.load(path, weights_only=flag)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=flag)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "random.seed(0)",
        "connection.execute(f'SELECT * FROM {table}')",
        "connection.execute(text('SELECT * FROM ' + table))",
        "connection.exec_driver_sql('SELECT %s' % table)",
        "Static(reply)",
        "try:\n    f()\nexcept:\n    g()",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, Exception):\n    g()",
        "def f():\n" + "    x = 1\n" * 60,
    ],
)
def test_each_rule_finds_what_it_forbids(source: str) -> None:
    assert list(violations(ast.parse(source), source.splitlines()))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "connection.execute(text('SELECT 1'), {'x': f'{y}'})",
        "Static(reply, markup=False)",
        "Static(Content(reply))",
        "try:\n    f()\nexcept Exception as e:  # marked border: a plugin may raise anything\n    g(e)",
        "try:\n    f()\nexcept BaseException:\n    undo()\n    raise",
        "try:\n    f()\nexcept FileNotFoundError:\n    pass",
        "def f():\n" + "    x = 1\n" * 59,
    ],
)
def test_what_is_right_passes(source: str) -> None:
    assert list(violations(ast.parse(source), source.splitlines())) == []
