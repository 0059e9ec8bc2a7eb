"""The page in one file: template, style, scripts, data and crops.

Data are read by the scripts as JSON and shown as text, never as HTML; names of cameras and paths
are those of strangers. The policy of the page lets its own script and style run, by their hashes,
and nothing else, and allows no address but videos beside it.
"""

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import rjsmin

from pipeline.report.data import Document
from pipeline.report.sheets import COLUMNS, PER_SHEET, Sheets

PARTS = Path(__file__).parent / "page"
SHARED = Path(__file__).parent.parent / "live" / "page"
"""The page of a live run, whose look and words are the same."""
STYLES = (SHARED / "look.css", PARTS / "report.css")
MODULES = (
    "data",
    "parts",
    "crops",
    "answers",
    "correct",
    "boxes",
    "screen",
    "zones",
    "homography",
    "settings",
    "draw",
    "player",
    "timeline",
    "person",
    "people",
    "review",
    "picture",
    "heat",
    "plan",
    "site",
    "main",
)
SCRIPTS = (SHARED / "text.js", *(PARTS / f"{name}.js" for name in MODULES))
"""In the order in which they use each other."""
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What could end a script element; in JSON it stands in strings only."""


def page(document: Document, sheets: Sheets) -> str:
    """Return the page.

    Args:
        document: what it shows.
        sheets: its crops.
    """
    script = _script()
    style = _style()
    crops = {
        "width": sheets.width,
        "height": sheets.height,
        "columns": COLUMNS,
        "per_sheet": PER_SHEET,
        "n": len(document.crops),
    }
    shown = document.json
    people = shown["people"]
    return _template().render(
        script=script,
        style=style,
        policy=_policy(script, style),
        data=embedded({**shown, "crops": crops}),
        sheets=sheets.sheets,
        stills=[base64.b64encode(still).decode("ascii") for still in document.stills],
        boxes=document.boxes,
        is_correctable=shown["is_correctable"],
        n_people=len(people),
        n_cameras=len(shown["cameras"]),
        n_doubtful=sum(person["doubtful"] for person in people),
    )


def embedded(value: Any) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.translate(ESCAPES)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((PARTS / "report.html").read_text(encoding="utf-8"))


@cache
def _style() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLES)


@cache
def _script() -> str:
    """All modules in one script, since a page from disk cannot import files; they share a scope.

    No module has a template in a template: `rjsmin` takes the inner one for code.
    """
    texts = [path.read_text(encoding="utf-8") for path in SCRIPTS]
    parts = [EXPORT.sub("", IMPORT.sub("", text)) for text in texts]
    whole = '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"
    return str(rjsmin.jsmin(whole))


def _policy(script: str, style: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data: blob:",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
