"""The page around a report: its head, colours for light and dark, and a rule against scripts."""

from __future__ import annotations

from mmrl.parse.visible import safe_html

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Should an escape ever be forgotten, the browser still runs nothing and fetches nothing."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5d6672;--paper:#fff;--card:#f5f7f9;
--line:#d5dae0;--good:#0a7d33;--bad:#c02626;--warn:#b45309}
@media(prefers-color-scheme:dark){:root{--ink:#e3e7ec;--dim:#98a2af;--paper:#14171b;
--card:#1d2227;--line:#353c45;--good:#4ade80;--bad:#f87171;--warn:#fbbf24}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
color:var(--ink);background:var(--paper)}
h1{font-size:1.7rem;margin:0 0 .6rem}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.3rem 0}
.dim{color:var(--dim);font-size:.85rem}
.good{color:var(--good)}.bad{color:var(--bad)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:0}
.facts dt{color:var(--dim)}.facts dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--dim);font-weight:500}
th:first-child,td:first-child{text-align:left;padding-left:0}
.warnings{list-style:none;padding:0}
.warnings li{border-left:4px solid var(--warn);background:var(--card);padding:.5rem .9rem;
margin:.5rem 0;border-radius:0 6px 6px 0}
.warnings li.over{border-color:var(--line)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:.8rem}
.plots svg{width:100%;height:auto;background:var(--card);border-radius:6px}
.plots svg text{font-family:system-ui,sans-serif!important}
.group{display:grid;grid-template-columns:16rem minmax(0,1fr);gap:1.2rem;background:var(--card);
border-radius:8px;padding:1rem;margin:.8rem 0}
@media(max-width:45rem){.group{grid-template-columns:1fr}}
.media img{max-width:100%;border-radius:4px;display:block;margin-bottom:.4rem}
.media img.pixels{width:100%;max-width:16rem;image-rendering:pixelated}
.drawn{position:relative;width:fit-content;margin-bottom:.4rem}
.drawn img{margin:0!important}.drawn img.pixels{width:16rem}
.drawn svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
.drawn polyline{fill:none;stroke-width:1.2px;vector-effect:non-scaling-stroke;
stroke-linecap:round;stroke:#ff2fd0;opacity:.45}
.drawn .first{stroke-width:2.5px;opacity:1}
.drawn .gold{stroke:#19d35b;stroke-width:2.5px;opacity:1;stroke-dasharray:6 3}
.drawn .dot{stroke-width:9px;stroke-dasharray:none}
.strip{display:grid;grid-template-columns:1fr 1fr;gap:.3rem}
.strip figure{margin:0}.strip img,.strip img.pixels{width:100%;margin:0}
.strip figcaption{font-size:.75rem;color:var(--dim)}
.question{font-weight:600;white-space:pre-wrap;overflow-wrap:anywhere}
code,pre{font:.85rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;margin:0}
.rollout{display:grid;grid-template-columns:4.5rem minmax(0,1fr);gap:0 .8rem;padding:.35rem 0;
border-top:1px solid var(--line);unicode-bidi:isolate}
.rollout b{font-variant-numeric:tabular-nums;font-weight:600;text-align:right}
.rollout p{grid-column:2}
details summary{cursor:pointer;margin:.4rem 0}
"""


def page(title: str, body: str) -> str:
    """A whole HTML page; `title` is untrusted text, `body` is HTML that is safe already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{safe_html(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
