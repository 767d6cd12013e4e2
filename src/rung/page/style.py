"""The one style sheet of every page: light and dark by what the reader's system prefers, system fonts, made to print.

Only CSS, as a constant. Colours of states are told apart by their lightness and by a mark beside them, never by hue alone.
"""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f7f4; --card: #ffffff; --ink: #16191d; --soft: #545b64; --faint: #6a717a;
  --line: #e2e2dc; --grid: #edede8; --hover: #f5f5f1; --code: #f1f1ec;
  --data: #2f66a9; --data-soft: #2f66a926;
  --meets: #0b7450; --misses: #b23a12; --unclear: #8f6400; --quiet: #646c76;
  --meets-soft: #0b745017; --misses-soft: #b23a1214; --unclear-soft: #8f640017; --quiet-soft: #646c7614;
  --on-heat: #ffffff; --band: .24; --shadow: 0 1px 2px #16191d0d, 0 8px 24px -16px #16191d26;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", "Book Antiqua", Georgia, "DejaVu Serif", serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #111316; --card: #191c20; --ink: #e9ebee; --soft: #a6adb7; --faint: #868e99;
    --line: #2c3036; --grid: #24282d; --hover: #1f2327; --code: #22262b;
    --data: #7fb0ee; --data-soft: #7fb0ee2e;
    --meets: #4cc997; --misses: #f2875b; --unclear: #dfb144; --quiet: #98a1ac;
    --meets-soft: #4cc9971f; --misses-soft: #f2875b1f; --unclear-soft: #dfb1441f; --quiet-soft: #98a1ac1f;
    --on-heat: #0e1215; --band: .36; --shadow: none;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; scroll-padding-top: 1.5rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 400 15px/1.55 var(--sans);
  font-variant-numeric: tabular-nums; text-rendering: optimizeLegibility; }
main, header.top, footer { max-width: 1120px; margin: 0 auto; padding: 0 28px; }
a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: .2em; }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--data); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -99em; } .skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
header.top { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: baseline; padding-top: 22px; padding-bottom: 22px; }
header.top .brand { font-weight: 650; letter-spacing: -.01em; margin-right: auto; }
header.top .brand span { color: var(--faint); font-weight: 400; }
header.top nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: 13.5px; color: var(--soft); }
header.top nav a { text-decoration: none; } header.top nav a:hover { color: var(--ink); }
h1, h2, h3 { line-height: 1.25; margin: 0; text-wrap: balance; }
h2 { font: 600 21px/1.3 var(--sans); letter-spacing: -.014em; }
h3 { font-size: 15px; font-weight: 620; }
p { margin: .5rem 0 0; text-wrap: pretty; }
section { margin: 0 0 44px; } .card + section, .below + section { margin-top: 44px; }
section > * + * { margin-top: 14px; } section > .lead { color: var(--soft); max-width: 84ch; margin: .3rem 0 2px; }
section > .label { margin: 22px 0 0; } section > .label + * { margin-top: 8px; }
.soft { color: var(--soft); } .faint { color: var(--faint); } .small { font-size: 13px; } .nowrap { white-space: nowrap; }
.said { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); padding: 22px 24px; }
.grid { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.grid { align-items: start; } .grid tbody th { font-weight: 400; }
.grid > .card { margin: 0; min-width: 0; }
.beside { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 16px; } .beside > * { flex: 1 1 400px; min-width: 0; } .beside > .card { flex: 0 1 auto; max-width: 100%; } .beside td, .beside th { padding-left: 9px; padding-right: 9px; }
.below { margin-top: 14px; } .beside figcaption { max-width: 27em; } .beside td > svg, .beside td span > svg { max-width: 60px; min-width: 48px; } .sideways { overflow-x: auto; } .sideways svg { max-width: none; }
code, .mono { font-family: var(--mono); font-size: .9em; }
code { background: var(--code); border-radius: 5px; padding: .1em .35em; overflow-wrap: anywhere; }
pre { margin: .5rem 0 0; font: 13px/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; background: var(--code);
  border-radius: 10px; padding: 12px 14px; }

.hero { display: grid; grid-template-columns: minmax(0, 1fr) 300px; gap: 20px 52px; align-items: center; padding: 38px 42px; margin-bottom: 44px; }
.eyebrow { font-size: 12.5px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; color: var(--faint); overflow-wrap: anywhere; }
.hero h1 { font: 500 31px/1.24 var(--serif); letter-spacing: -.012em; margin: .55rem 0 0; overflow-wrap: anywhere; text-wrap: pretty; }
.hero h1 em { font-style: normal; color: var(--meets); }
.hero .rest { color: var(--soft); font-size: 16px; max-width: 66ch; margin-top: .8rem; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); gap: 18px 22px; margin: 26px 0 0; padding: 0; }
.facts div { min-width: 0; } .facts dt { font-size: 12.5px; color: var(--soft); }
.facts dd { margin: 1px 0 0; font-size: 21px; font-weight: 600; letter-spacing: -.015em; }
details.more > .rows, details.more > .scroll { margin-top: 12px; }
.facts dd small { text-wrap: balance; display: block; font-size: 12.5px; font-weight: 400; letter-spacing: 0; color: var(--soft); }
.advice { list-style: none; margin: 22px 0 0; padding: 14px 18px; background: var(--unclear-soft); border-radius: 10px; font-size: 14.5px; }
.advice li + li { margin-top: .4rem; }

.state { display: inline-flex; align-items: center; gap: .45em; white-space: nowrap; font-weight: 560; }
.state svg { width: 13px; height: 13px; flex: none; }
.meets { color: var(--meets); } .misses { color: var(--misses); } .unclear { color: var(--unclear); } .quiet { color: var(--quiet); }
.badge { display: inline-block; font-size: 12px; font-weight: 600; line-height: 1; padding: .32em .6em; border-radius: 99px; white-space: nowrap;
  background: var(--quiet-soft); color: var(--soft); }
.badge.meets { background: var(--meets-soft); color: var(--meets); }
.badge.misses { background: var(--misses-soft); color: var(--misses); }
.badge.unclear { background: var(--unclear-soft); color: var(--unclear); }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 14px; background: var(--card); box-shadow: var(--shadow); }
.card .scroll { border: 0; border-radius: 0; box-shadow: none; margin: 0 -24px -22px; padding-bottom: 6px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; color: var(--soft); font-size: 13px; padding: 12px 16px 0; }
th, td { text-align: left; vertical-align: top; padding: 11px 12px; }
th:first-child, td:first-child { padding-left: 24px; } th:last-child, td:last-child { padding-right: 24px; }
thead th { font-size: 12.5px; font-weight: 560; color: var(--soft); vertical-align: bottom; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--grid); }
tbody tr:hover > * { background: var(--hover); }
tbody tr.chosen > * { background: var(--meets-soft); }
tbody tr.chosen > :first-child { box-shadow: inset 3px 0 var(--meets); }
tbody tr.dim > * { color: var(--faint); }
.number { text-align: right; white-space: nowrap; }
td small, th small { display: block; font-size: 12.5px; font-weight: 400; color: var(--soft); }
td small.why { min-width: 11em; max-width: 17em; } tbody th { min-width: 116px; }
th small.said { max-width: 22em; }

.tip { position: relative; border-bottom: 1px dotted var(--faint); cursor: help; }
.tip > [role=tooltip] { position: absolute; z-index: 5; left: 0; top: calc(100% + 7px); width: max-content; max-width: 250px; padding: 8px 11px;
  background: var(--ink); color: var(--paper); border-radius: 8px; font-size: 12.5px; font-weight: 400; line-height: 1.45; letter-spacing: 0;
  text-align: left; text-transform: none; white-space: normal; visibility: hidden; opacity: 0; transition: opacity .12s; pointer-events: none; }
.tip:hover > [role=tooltip], .tip:focus > [role=tooltip] { visibility: visible; opacity: 1; }
.number .tip > [role=tooltip] { left: auto; right: 0; }

details > summary { cursor: pointer; list-style: none; }
details > summary::-webkit-details-marker { display: none; }
details > summary::before { content: ""; display: inline-block; width: .38em; height: .38em; margin-right: .7em; border: solid var(--faint);
  border-width: 0 1.6px 1.6px 0; transform: translateY(-.16em) rotate(-45deg); transition: transform .12s; }
details[open] > summary::before { transform: translateY(-.22em) rotate(45deg); }
details.more { margin-top: 14px; } details.more > summary { color: var(--soft); font-size: 14px; }
details.more > summary:hover { color: var(--ink); }
.rows { border: 1px solid var(--line); border-radius: 14px; background: var(--card); box-shadow: var(--shadow); overflow: hidden; }
.rows > details + details { border-top: 1px solid var(--grid); }
.rows > details > summary { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; align-items: center; gap: .2rem; padding: 12px 24px; }
.rows > details > summary:hover { background: var(--hover); }
.rows > details > summary .said { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.rows .marks { display: flex; gap: 3px; padding-left: 14px; } .rows .marks svg { width: 13px; height: 13px; }
.rows .body { padding: 4px 24px 22px 40px; }
.texts { display: grid; grid-template-columns: minmax(100px, 300px) minmax(0, 1fr); gap: 10px 24px; margin: 0; font-size: 14px; }
.texts dt { color: var(--soft); overflow-wrap: anywhere; } .texts dt > div { display: flex; flex-wrap: wrap; gap: 0 10px; } .texts dt > div + div { margin-top: 2px; } .texts dt small { color: var(--faint); font-size: 12.5px; line-height: 1.7; } .texts dd { margin: 0; min-width: 0; }
.texts dd > div + div { margin-top: 6px; } .texts .rule { grid-column: 1 / -1; border-top: 1px solid var(--grid); }
.fold > summary { display: block; } .fold > summary::before { display: none; }
.fold > summary .all { color: var(--data); white-space: nowrap; } .fold[open] > summary { display: none; }

figure { margin: 0; } figcaption { color: var(--soft); font-size: 13px; margin-top: 10px; }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; padding: 0; margin: 12px 0 0; font-size: 13px; color: var(--soft); }
.key li { display: inline-flex; align-items: center; gap: .5em; } .key svg { width: 22px; height: 13px; flex: none; }
svg { display: block; max-width: 100%; height: auto; font-family: var(--sans); }
svg text { fill: var(--soft); font-size: 12px; } svg text.strong { fill: var(--ink); font-weight: 600; } svg text.mid { fill: var(--ink); }
svg text.meets { fill: var(--meets); } svg text.tiny { font-size: 11px; fill: var(--faint); } svg text.on { fill: var(--on-heat); }
svg .gridline { stroke: var(--grid); stroke-width: 1; } svg .axis { stroke: var(--line); stroke-width: 1; }
svg .goal { stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 2 4; stroke-linecap: round; } svg text.goal { stroke: none; fill: var(--ink); font-weight: 560; }
svg text.floor { stroke: none; fill: var(--faint); } svg text.own { fill: currentColor; }
svg text.over { paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
svg .plate { fill: var(--card); }
svg line.floor { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 1 4; stroke-linecap: round; }
svg .staircase { fill: none; stroke: var(--line); stroke-width: 1.5; } svg .leader { stroke: var(--faint); stroke-width: .8; }
svg .interval { stroke: currentColor; stroke-width: 7; stroke-linecap: round; opacity: var(--band); } svg .interval.thin { stroke-width: 5; }
svg .dot { fill: currentColor; } svg .hollow { fill: var(--card); stroke: currentColor; stroke-width: 1.8; } svg .halo { fill: none; stroke: currentColor; stroke-width: 1.4; opacity: .55; }
svg .stroke { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
svg .series { fill: none; stroke-width: 1.9; stroke-linejoin: round; stroke-linecap: round; stroke: var(--data); }
svg .area { fill: var(--data-soft); } svg .bar { fill: var(--data); } svg .bar.weak { fill: var(--data-soft); } svg .point { fill: var(--data); }
svg .heat { fill: var(--data); } svg .heat.wrong { fill: var(--misses); } svg .cell { fill: none; stroke: var(--grid); }
svg .rail { stroke: var(--line); stroke-width: 5; stroke-linecap: round; } svg .spoke { stroke: currentColor; stroke-width: 5; stroke-linecap: round; }
svg .spoke.faded { opacity: .3; stroke-dasharray: .1 9; }

.chips { position: relative; display: flex; flex-wrap: wrap; gap: 6px 4px; padding-bottom: 34px; }
.chip { font: 13px/1.5 var(--mono); padding: 2px 5px; border-radius: 5px; border: 1px solid var(--line); overflow-wrap: anywhere; max-width: 100%; }
.chip.special { border-style: dashed; color: var(--soft); } .chips .chip:hover, .chips .chip:focus { border-color: var(--ink); }
.s1 { background: color-mix(in srgb, var(--data) 4%, transparent); } .s2 { background: color-mix(in srgb, var(--data) 13%, transparent); }
.s3 { background: color-mix(in srgb, var(--data) 24%, transparent); } .s4 { background: color-mix(in srgb, var(--data) 36%, transparent); }
.s5 { background: color-mix(in srgb, var(--data) 50%, transparent); }
.chip > .told, .chips > .hint { position: absolute; left: 0; right: 0; bottom: 0; font: 13px/1.5 var(--sans); color: var(--soft); background: var(--card); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.chip > .told { visibility: hidden; color: var(--ink); } .chip:hover > .told, .chip:focus > .told { visibility: visible; z-index: 1; }
.share { display: flex; align-items: center; gap: 10px; } .share svg { flex: none; } .share small { min-width: 4.6em; text-align: right; font-size: 13px; color: inherit; }
.near { display: flex; flex-wrap: wrap; gap: 4px 14px; } .near > span { white-space: nowrap; } .near small { display: inline; margin-left: 4px; }
.habits .pairs { margin-top: 12px; gap: 12px 24px; } .habits .pairs dd a { text-decoration: none; } .habits .pairs dd a:hover { text-decoration: underline; } .sideways > h3 { margin-bottom: 10px; }
.layer + .layer { border-top: 1px solid var(--grid); margin-top: 18px; padding-top: 16px; }
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(74px, 108px)); gap: 12px; margin-top: 10px; font-size: 12.5px; }
.thumbs a { text-decoration: none; color: var(--soft); } .thumbs a:hover { color: var(--ink); } .thumbs svg { width: 100%; margin-bottom: 3px; border-radius: 4px; } .thumbs a:hover svg { outline: 2px solid var(--data); }
.large { display: none; margin-top: 18px; scroll-margin-top: 40vh; } .large:target { display: block; }
svg .plate.weak { fill: var(--grid); } svg .hit { fill: transparent; } svg .query:hover .hit { fill: none; stroke: var(--ink); stroke-width: 1.2; } svg .query { cursor: help; }
.data { color: var(--data); } .narrow { display: none; }

.pairs { display: grid; grid-template-columns: minmax(120px, max-content) minmax(0, 1fr); gap: 7px 24px; margin: 0; font-size: 14px; }
.pairs dt { color: var(--soft); } .pairs dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.list { margin: .4rem 0 0; padding-left: 1.15rem; } .list li + li { margin-top: .25rem; }
footer { border-top: 1px solid var(--line); padding-top: 26px; padding-bottom: 60px; color: var(--soft); font-size: 13.5px; }
footer .pairs { font-size: 13.5px; }

@media (max-width: 860px) {
  .hero { grid-template-columns: minmax(0, 1fr); padding: 28px 24px; } .hero .ladder { max-width: 300px; }
}
@media (max-width: 640px) {
  body { font-size: 15px; } main, header.top, footer { padding-left: 16px; padding-right: 16px; }
  .hero { padding: 22px 18px; } .hero h1 { font-size: 25px; } .card { padding: 18px; } .card .scroll { margin: 0 -18px -18px; }
  .wide { display: none; } .narrow { display: block; } .facts { gap: 14px 26px; }
  th, td { padding: 10px; } th:first-child, td:first-child { padding-left: 16px; } th:last-child, td:last-child { padding-right: 16px; }
  .rows > details > summary { padding: 11px 16px; grid-template-columns: auto minmax(0, 1fr); } .rows .marks { grid-column: 2; padding-left: 0; } .rows .body { padding: 2px 16px 18px; }
  .scroll tbody th:first-child { position: sticky; left: 0; background: var(--card); max-width: 44vw; }
  .scroll tbody tr.chosen > :first-child { background: linear-gradient(var(--meets-soft), var(--meets-soft)), var(--card); }
  .texts, .pairs { grid-template-columns: minmax(0, 1fr); gap: 2px; } .texts dd, .pairs dd { margin-bottom: 10px; }
}
@media print {
  :root { --paper: #fff; --shadow: none; } body { font-size: 10.5pt; } header.top nav, .skip { display: none; }
  main, header.top, footer { max-width: none; padding: 0; } .card, .scroll, .rows { break-inside: avoid; } .scroll { overflow: visible; }
  section { margin-bottom: 24px; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; } table { font-size: 8pt; } th, td { padding: 4px 5px; }
  thead th, td small, th small { font-size: 7pt; } tbody th { min-width: 70px; } td small.why { min-width: 8em; } td svg { width: 80px; } .tip { border: 0; }
}
"""
