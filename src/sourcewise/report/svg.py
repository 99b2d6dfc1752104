"""A matplotlib SVG made fit to stand inside an HTML page.

Its colours become CSS variables, so that they follow the theme of the page; its text keeps its
size and takes the font of the page; its identifiers are made unique or dropped.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from sourcewise.report.forest import PALETTE

__all__ = ["inline"]

_VARIABLE = {color: f"var(--{name})" for name, color in PALETTE.items()}
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_NOTHING = re.compile(r"rotate\(-?0 ")  # matplotlib turns every text by zero degrees


def inline(
    svg: bytes, prefix: str, title: str, desc: str, names: Mapping[str, str], kind: str
) -> str:
    """The SVG as an HTML element.

    Args:
        svg: what matplotlib wrote.
        prefix: starts every identifier; unique in the page.
        title: the accessible name.
        desc: the accessible description.
        names: gid of a group to its full text, shown where it is pointed at.
        kind: the CSS class.
    """
    root = ElementTree.fromstring(svg)
    box = root.get("viewBox", "0 0 1 1")
    page = Element("svg", {"class": kind, "viewBox": box, "role": "img"})
    page.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    page.set("style", f"max-width:{box.split()[2]}px")
    SubElement(page, "title", id=f"{prefix}-title").text = title
    SubElement(page, "desc", id=f"{prefix}-desc").text = desc
    _copy(root, page, prefix, names)
    return ElementTree.tostring(page, encoding="unicode")


def _copy(source: Element, target: Element, prefix: str, names: Mapping[str, str]) -> None:
    for item in source:
        tag = item.tag.rpartition("}")[2]
        # Its <style> would apply to the whole page; the page has its own.
        if tag in ("metadata", "style"):
            continue
        attributes = _attributes(item, tag, prefix)
        name = names.get(item.get("id", ""))
        if tag == "g" and not attributes and name is None:
            _copy(item, target, prefix, names)
            continue
        child = SubElement(target, tag, attributes)
        if tag == "text":
            child.text = item.text
        if name is not None:
            SubElement(child, "title").text = name
        _copy(item, child, prefix, names)
        if tag == "defs" and len(child) == 0:
            target.remove(child)


def _attributes(item: Element, tag: str, prefix: str) -> dict[str, str]:
    kept = {}
    for key, value in item.attrib.items():
        key = key.rpartition("}")[2]
        if key == "style":
            value = _style(value)
        elif key == "href":
            value = f"#{prefix}-{value.removeprefix('#')}"
        elif key == "clip-path":
            value = value.replace("url(#", f"url(#{prefix}-")
        elif key == "id":
            # Only markers and clipping paths are referred to, and their groups are not.
            if tag == "g":
                continue
            value = f"{prefix}-{value}"
        elif key == "transform" and _NOTHING.match(value):
            continue
        else:
            value = _NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value).replace("\n", "")
        kept[key] = value
    return kept


def _style(style: str) -> str:
    parts = [part.partition(":") for part in style.split(";") if part.strip()]
    return ";".join(":".join(_property(k.strip(), v.strip())) for k, _, v in parts if _kept(k))


def _kept(key: str) -> bool:
    return key.strip() != "font-family"


def _property(key: str, value: str) -> tuple[str, str]:
    if key == "font":  # older matplotlib: "font: bold 12px 'DejaVu Sans'"
        return "font-size", (re.findall(r"[\d.]+px", value) or ["11px"])[0]
    return key, _VARIABLE.get(value, _NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value))
