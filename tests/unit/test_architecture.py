"""Imports point one way, and what belongs to one adapter is known to no other part."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "telephony"
FILES = sorted(PACKAGE.rglob("*.py"))

# A part may know what stands left of it, and itself. Whatever is not named here is an adapter if it is a
# directory, and stands in the middle if it is a file.
CORE, MIDDLE, ADAPTER, WIRING, TOP = range(5)
LAYERS = {
    "core": CORE,
    "recovery": WIRING,
    "provision": WIRING,
    "client": WIRING,
    "doors": WIRING,
    "app": TOP,
    "controller": TOP,
    "cli": TOP,
    "__main__": TOP,
}

# The one part that may import a library from outside.
OWNERS = {"panoramisk": "ami", "asterisk": "agi", "redis": "store", "hiredis": "store", "aiohttp": "http"}

# Pure: nothing that could look at a clock, at chance, or at the world.
CORE_MAY_IMPORT = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools", "typing"}

AMI_HEADERS = re.compile(
    r"\b(Uniqueid|Linkedid|BridgeUniqueid|DestUniqueid|ChannelState|ChannelStateDesc|ActionID|Cause-txt|"
    r"ChanVariable|CallerIDNum|ConnectedLineNum|OriginateResponse|AppData)\b"
)
AMI_HEADERS_ELSEWHERE = {"asterisk_files.py"}  # writes manager.conf, where events are filtered by their names


def _short(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def _part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _layer(part: str) -> int:
    return LAYERS.get(part, ADAPTER if (PACKAGE / part).is_dir() else MIDDLE)


def _imports(file: Path) -> Iterator[str]:
    """The full names of all modules that the file imports, wherever it does so."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it points"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _parts_imported(file: Path) -> set[str]:
    names = (name.split(".") for name in _imports(file))
    known = {_part(other) for other in FILES}
    return {name[1] for name in names if name[0] == "telephony" and len(name) > 1 and name[1] in known}


@pytest.mark.parametrize("file", FILES, ids=_short)
def test_imports_point_one_way(file: Path) -> None:
    own = _part(file)
    for part in _parts_imported(file) - {own}:
        assert _layer(part) <= _layer(own), f"{own} must not know {part}"
        assert _layer(own) != ADAPTER or _layer(part) < ADAPTER, f"adapter {own} must not know {part}"


@pytest.mark.parametrize("file", FILES, ids=_short)
def test_a_library_is_known_to_its_own_adapter_only(file: Path) -> None:
    for name in _imports(file):
        owner = OWNERS.get(name.split(".")[0])
        assert owner in (None, _part(file)), f"only {owner} may import {name}"


def test_each_library_still_has_its_owner() -> None:
    """A rule about a library that nobody imports any more would hold by itself."""
    users = {(name.split(".")[0], _part(file)) for file in FILES for name in _imports(file)}
    assert set(OWNERS.items()) <= users


@pytest.mark.parametrize("file", FILES, ids=_short)
def test_imports_are_written_where_these_rules_see_them(file: Path) -> None:
    assert not [name for name in _imports(file) if name.split(".")[0] == "importlib"]
    assert "__import__" not in _names(file)


@pytest.mark.parametrize("file", FILES, ids=_short)
def test_a_module_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


def _names(file: Path) -> set[str]:
    return {
        node.id
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name)
    }


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").glob("*.py")), ids=_short)
def test_core_is_pure(file: Path) -> None:
    assert not _names(file) & {"open", "print", "input", "exec", "eval"}
    libraries = {name.split(".")[0] for name in _imports(file)} - {"telephony"}
    assert libraries <= CORE_MAY_IMPORT
    assert libraries <= sys.stdlib_module_names
    assert _parts_imported(file) <= {"core"}


def test_nothing_imports_the_top_but_the_top() -> None:
    for file in FILES:
        if _layer(_part(file)) != TOP:
            assert not _parts_imported(file) & {"app", "cli", "__main__"}, file


@pytest.mark.parametrize("file", [file for file in FILES if _part(file) != "ami"], ids=_short)
def test_words_of_the_manager_interface_stay_in_ami(file: Path) -> None:
    if file.name in AMI_HEADERS_ELSEWHERE:
        return
    assert AMI_HEADERS.findall(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", [file for file in FILES if _part(file) != "store"], ids=_short)
def test_redis_keys_stay_in_store(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith("tel:"), f"line {node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=_short)
def test_files_can_be_read_in_one_go(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Imports for type checkers only are left out: they are gone when the program runs."""
    graph = {_module(file): _run_time_imports(file) for file in FILES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def _module(file: Path) -> str:
    dotted = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def _run_time_imports(file: Path) -> set[str]:
    modules = {_module(other) for other in FILES}
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            found |= submodules or ({str(node.module)} & modules)
    return found - {_module(file)}
