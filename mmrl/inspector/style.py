"""The look of the page: one sheet over Gradio's variables, so that light and dark follow them."""

from __future__ import annotations

from mmrl.inspector.text import CSS as TEXT_CSS

CSS = (
    TEXT_CSS
    + """
:root,.dark{--mi-line:var(--border-color-primary);--mi-soft:var(--background-fill-secondary);
--mi-card:var(--block-background-fill);--mi-ink:var(--body-text-color);
--mi-dim:#5a6573}
:root{--mi-accent:#0b62a8;--mi-on:#e4eff9;--mi-track:#e3e7ec;--mi-fill:#b3c2d3;--mi-meter:#7fb3d9;
--mi-plus:#0072b2;--mi-minus:#d55e00;--mi-note:#eef1f4}
.dark{--mi-dim:#a3adb9;--mi-accent:#6cb6f2;--mi-on:#1c3349;--mi-track:#3a3f47;--mi-fill:#66727f;--mi-meter:#4a88b8;
--mi-plus:#56b4e9;--mi-minus:#f0883e;--mi-note:#26292e}
.gradio-container{max-width:none!important;padding:.5rem .9rem!important;color:var(--mi-ink);
font-size:14px}
footer{display:none!important}
.gradio-container .html-container{padding:0!important}
.gradio-container .gap{gap:.5rem}
#mi-message:not(:has(.mi-note)),#mi-status:not(:has(.mi-note)),
#mi-curve-status:not(:has(.mi-note)){display:none}
#mi-helpbox{position:absolute}
#mi-measure{flex:1 1 27rem!important;min-width:20rem!important}
.mi-card .mm-verdict.mm-good{color:var(--mm-good)!important}
.mi-card .mm-verdict.mm-bad{color:var(--mm-bad)!important}
#mi-step{padding:.3rem .5rem}
#mi-step-previous,#mi-step-next{align-self:stretch}
.mi-bar{gap:.5rem!important;align-items:center!important;flex-wrap:wrap}
.mi-brand{font-size:1.02rem;font-weight:650;letter-spacing:.01em;white-space:nowrap}
.mi-brand small{font-weight:400;color:var(--mi-dim);margin-left:.5em}
.mi-side{min-width:17.5rem!important;max-width:23rem}
.mi-tight{gap:.35rem!important}
.mi-hidden{display:none!important}
.mi-note{background:var(--mi-note);color:var(--mi-dim);border-radius:6px;padding:.4rem .6rem;
margin:.25rem 0;font-size:.86rem;overflow-wrap:anywhere}
.mi-note.mi-bad{color:var(--mm-bad);background:var(--mm-bad-soft)}
.mi-count{font-size:.8rem;color:var(--mi-dim);margin:.15rem .1rem .3rem}
.mi-list{display:flex;flex-direction:column;gap:3px;max-height:calc(100vh - 19rem);
min-height:14rem;overflow:auto;scrollbar-width:thin}
.mi-row{display:block;width:100%;text-align:left;background:var(--mi-card);color:var(--mi-ink);
border:1px solid var(--mi-line);border-radius:6px;padding:.36rem .55rem;cursor:pointer;font:inherit}
.mi-row:hover{border-color:var(--mi-accent)}
.mi-row.mi-on{background:var(--mi-on);border-color:var(--mi-accent)}
.mi-row:focus-visible,.mi-picture:focus-visible{outline:2px solid var(--mi-accent);
outline-offset:1px}
.mi-asked{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden;
font-size:.88rem;overflow-wrap:anywhere;unicode-bidi:plaintext}
.mi-brief{display:flex;gap:.7em;font-size:.77rem;color:var(--mi-dim);
font-variant-numeric:tabular-nums;margin-top:.1rem}
.mi-brief b{margin-left:auto;color:var(--mi-ink)}
.mi-spread{margin:.35rem 0 .1rem}
.mi-spread.mi-small{margin:.2rem 0 0}
.mi-track{position:relative;height:14px;background:var(--mi-track);border-radius:4px}
.mi-small .mi-track{height:4px}
.mi-track b{position:absolute;top:0;bottom:0;background:var(--mi-fill);border-radius:3px;
min-width:2px}
.mi-track i{position:absolute;top:1px;bottom:1px;width:5px;margin-left:-2px;border-radius:2px;
box-shadow:0 0 0 1px rgba(20,20,20,.55)}
.mi-small .mi-track i{display:none}
.mi-track u{position:absolute;top:-3px;bottom:-3px;width:2px;margin-left:-1px;
background:var(--mi-ink)}
.mi-small .mi-track u{display:none}
.mi-ends{display:flex;justify-content:space-between;color:var(--mi-dim);font-size:.72rem}
.mi-head{display:flex;gap:1rem;flex-wrap:wrap;align-items:flex-start}
.mi-media{flex:0 1 clamp(13rem,24vw,20rem);display:flex;flex-wrap:wrap;gap:.4rem;min-width:12rem}
.mi-media:has(.mi-picture~.mi-picture){flex-basis:clamp(13rem,40vw,34rem)}
.mi-media.mi-wide{flex:1 1 100%!important;overflow-x:auto;flex-wrap:nowrap;flex-direction:column}
.mi-media .mi-picture{flex:1 1 12rem;max-width:100%}
.mi-media:has(.mi-picture~.mi-picture) .mi-picture{flex:0 1 calc(50% - .2rem);min-width:0;
max-width:calc(50% - .2rem)}
.mi-wide.mi-media .mi-picture{max-width:100%!important;flex:none!important;align-self:flex-start}
.mi-picture{display:block;border-radius:6px;border:1px solid var(--mi-line);cursor:zoom-in;
max-width:100%;height:auto;margin:0!important}
.mi-picture.mi-full{position:fixed;inset:2vh 2vw;max-width:96vw!important;max-height:96vh!important;
width:96vw!important;
height:96vh;object-fit:contain;z-index:1000;background:rgba(12,14,18,.93);cursor:zoom-out;border:0}
.mi-key{flex:1 0 100%;font-size:.76rem;color:var(--mi-dim);display:flex;gap:1em}
.mi-gold::before{content:"";display:inline-block;width:.8em;height:.8em;margin-right:.35em;
border:2px solid rgb(0,170,110);vertical-align:-.08em}
.mi-about{flex:1 1 15rem;min-width:0}
.mi-where{color:var(--mi-dim);font-size:.8rem;margin-bottom:.3rem;overflow-wrap:anywhere}
.mi-where b{color:var(--mi-ink);font-weight:550}
.mi-about>.mm-text{font-size:.95rem;max-height:11rem}
.mi-target{margin:.35rem 0;font-size:.88rem;overflow-wrap:anywhere}
.mi-target span:first-child{color:var(--mi-dim);margin-right:.3em}
.mi-facts{font-size:.88rem;color:var(--mi-dim);font-variant-numeric:tabular-nums}
.mi-facts b{color:var(--mi-ink)}
.mi-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(14.5rem,100%),1fr));
gap:.6rem;margin-top:.8rem;align-items:start}
.mi-card{background:var(--mi-card);border:1px solid var(--mi-line);
border-top:3px solid var(--mi-own);
border-radius:7px;padding:.45rem .6rem .5rem;min-width:0}
.mi-card>header{display:flex;align-items:center;gap:.55em;font-size:.88rem;
font-variant-numeric:tabular-nums;margin-bottom:.3rem}
.mi-number{background:var(--mi-own);color:#111;border-radius:4px;min-width:1.5em;text-align:center;
font-weight:650;padding:0 .3em}
.mi-right,.mi-wrong{white-space:nowrap}
.mi-right{color:var(--mm-good)}.mi-wrong{color:var(--mm-bad)}
.mi-card .mm-legend,.mi-legend .mm-text{display:none}
.mi-reward{font-weight:650;margin-left:auto;font-size:1rem}
.mi-gain{color:var(--mi-dim);display:flex;align-items:center;gap:.35em}
.mi-balance{position:relative;display:inline-block;width:2.6rem;height:9px;
background:linear-gradient(var(--mi-dim),var(--mi-dim)) 50%/1px 100% no-repeat,var(--mi-track);
border-radius:3px;overflow:hidden}
.mi-balance b{position:absolute;top:0;bottom:0}
.mi-plus{background:var(--mi-plus)}.mi-minus{background:var(--mi-minus)}
.mi-own{display:flex;gap:.3rem;overflow-x:auto}
.mi-own .mi-picture{width:100%;max-height:11rem;object-fit:contain;background:var(--mi-soft)}
.mi-meta{display:flex;flex-wrap:wrap;gap:.2rem .8rem;color:var(--mi-dim);font-size:.78rem;
margin:.25rem 0}
.mi-cut{color:var(--mm-bad);font-weight:600}
.mi-parts,.mi-evidence{width:100%;border:0!important;border-collapse:collapse;font-size:.8rem;
font-variant-numeric:tabular-nums;margin:.15rem 0!important}
.mi-parts th,.mi-parts td,.mi-evidence th,.mi-evidence td{padding:.1rem .22rem!important;
text-align:right;border:0!important;font-weight:400}
.mi-parts td{white-space:nowrap}
.mi-parts th:first-child,.mi-evidence th{text-align:left!important;overflow-wrap:anywhere;
min-width:4.5rem}
.mi-parts thead th{color:var(--mi-dim);font-size:.72rem}
.mi-group .mi-parts tr,.mi-group .mi-evidence tr{border:0!important;background:none!important}
.mi-group .mi-parts tbody tr{border-top:1px solid var(--mi-line)!important}
.mi-meter{display:block;height:4px;border-radius:2px;background:var(--mi-track);max-width:6rem}
.mi-meter b{display:block;height:100%;background:var(--mi-meter);border-radius:2px}
.mi-failed td{color:var(--mm-bad);text-align:left!important;white-space:normal}
.mi-evidence caption{text-align:left;color:var(--mi-dim);font-size:.72rem}
.mi-pair{display:grid;grid-template-columns:1fr 1fr;gap:.8rem}
.mi-pair h4{margin:0 0 .2rem;font-size:.9rem}
.mi-versus{border:1px solid var(--mi-line);border-radius:7px;padding:.4rem .6rem;margin:.5rem 0;
background:var(--mi-card)}
.mi-versus>header{display:grid;grid-template-columns:1fr 1fr;gap:.8rem;font-size:.86rem;
color:var(--mi-dim);font-variant-numeric:tabular-nums}
.mi-help{position:fixed;inset:0;z-index:1001;background:rgba(12,14,18,.55);display:none;
align-items:center;justify-content:center}
.mi-help.mi-open{display:flex}
.mi-help>div{background:var(--mi-card);color:var(--mi-ink);border-radius:10px;padding:1rem 1.4rem;
min-width:19rem;box-shadow:0 8px 40px rgba(0,0,0,.4)}
.mi-help table{font-size:.9rem}.mi-help td{padding:.15rem .6rem!important;border:0!important}
kbd{font:600 .85em ui-monospace,monospace;border:1px solid var(--mi-line);border-bottom-width:2px;
border-radius:4px;padding:0 .4em;background:var(--mi-soft);color:var(--mi-ink)}
@media (max-width:700px){.mi-side{max-width:none}
.mi-pair,.mi-versus>header{grid-template-columns:1fr}
.mi-list{max-height:18rem}}
@media (prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
"""
)
