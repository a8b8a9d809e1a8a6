"""`/docs`: the OpenAPI document as one plain page, readable without network and without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent);
--soft:color-mix(in srgb,currentColor 6%,transparent)}
body{font:15px/1.55 system-ui,"Noto Sans CJK SC",sans-serif;
max-width:60rem;margin:0 auto;padding:2rem 1.2rem 6rem}
h1{margin:0 0 .4rem}h2{margin:3rem 0 .5rem;border-bottom:1px solid var(--line)}h3{margin:0}
h4{margin:1rem 0 .2rem}code,pre,.path{font-family:ui-monospace,monospace;font-size:.9em}
code{background:var(--soft);padding:.05em .3em;border-radius:3px}
pre{background:var(--soft);padding:.7rem 1rem;border-radius:6px;overflow:auto;margin:.4rem 0}
a{color:inherit}nav{columns:2;font-size:.95em;margin:1.2rem 0}nav a{display:block;text-decoration:none}
article,details.schema{border:1px solid var(--line);border-radius:8px;padding:.9rem 1.1rem;margin:1rem 0}
summary{cursor:pointer}table{border-collapse:collapse;width:100%;margin:.3rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-top:1px solid var(--line)}
th{font-weight:600;white-space:nowrap}
.m{font:600 .8em ui-monospace,monospace;color:#fff;border-radius:4px;padding:.15em .5em;margin-right:.6em}
.get{background:#2563a8}.post{background:#2b7a4b}.delete{background:#a83232}.patch{background:#96660f}
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page, in HTML."""
    info, schemas = document["info"], document["components"]["schemas"]
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    body = [
        f"<h1>{escape(info['title'])}</h1>",
        f"<p>{_text(info['description'])}</p>",
        '<p><a href="/openapi.json">openapi.json</a></p>',
        f"<nav>{''.join(_link(*operation) for operation in operations)}</nav>",
    ]
    for tag in document["tags"]:
        body.append(f"<h2>{escape(tag['name'])}</h2>")
        body += [_operation(*each) for each in operations if tag["name"] in each[2]["tags"]]
    body.append("<h2>Shapes</h2>")
    body += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>"
    )


def _link(path: str, method: str, operation: Mapping[str, Any]) -> str:
    anchor = escape(operation["operationId"])
    return f'<a href="#{anchor}">{_badge(method)}<span class="path">{escape(path)}</span></a>'


def _badge(method: str) -> str:
    return f'<span class="m {escape(method)}">{escape(method.upper())}</span>'


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<article id="{escape(operation["operationId"])}">',
        f'<h3>{_badge(method)}<span class="path">{escape(path)}</span></h3>',
        f"<p><b>{_text(operation['summary'])}.</b> {_text(operation['description'])}</p>",
    ]
    if operation["parameters"]:
        rows = ((p["name"], f"{p['in']}: {p.get('description', '')}") for p in operation["parameters"])
        parts.append(f"<h4>Parameters</h4>{_table(rows)}")
    if "requestBody" in operation:
        optional = "" if operation["requestBody"]["required"] else " (optional)"
        parts.append(f"<h4>Body{optional}</h4>{_content(operation['requestBody'])}")
    parts.append("<h4>Answers</h4>")
    successes = [(s, r) for s, r in operation["responses"].items() if s < "400"]
    parts += [f"<p><b>{status}</b></p>{_content(response)}" for status, response in successes]
    errors = ((s, r["description"]) for s, r in operation["responses"].items() if s >= "400")
    parts.append(f"{_table(errors)}</article>")
    return "".join(parts)


def _content(holder: Mapping[str, Any]) -> str:
    parts = []
    for media, content in holder.get("content", {}).items():
        parts.append(f"<p>{escape(media)}: {_type(content['schema'])}</p>")
        if "example" in content:
            parts.append(f"<pre>{escape(json.dumps(content['example'], indent=2, ensure_ascii=False))}</pre>")
    return "".join(parts)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    about = f"<p>{_text(schema.get('description', ''))}</p>"
    if "enum" in schema:
        inside = f"<p>{_type(schema)}</p>"
    else:
        rows = "".join(_field(*each) for each in schema.get("properties", {}).items())
        inside = f"<table>{rows}</table>"
    title = f"<summary><b>{escape(name)}</b></summary>"
    return f'<details class="schema" id="shape-{escape(name)}" open>{title}{about}{inside}</details>'


def _field(name: str, schema: Mapping[str, Any]) -> str:
    about = _text(schema.get("description", ""))
    return f"<tr><th><code>{escape(name)}</code></th><td>{_type(schema)} {about}</td></tr>"


def _type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": ref}:
            name = escape(ref.rsplit("/", 1)[1])
            return f'<a href="#shape-{name}">{name}</a>'
        case {"anyOf": options}:
            return " or ".join(map(_type, options))
        case {"enum": values}:
            return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"const": value}:
            return f"<code>{escape(str(value))}</code>"
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case _:
            return escape(str(schema.get("type", "anything")))


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{escape(head)}</th><td>{_text(text)}</td></tr>" for head, text in rows)
    return f"<table>{lines}</table>"


def _text(text: str) -> str:
    """Plain text with `code` in it."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
