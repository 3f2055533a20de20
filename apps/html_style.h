// The look of report.html: one column of cards, system fonts, the colours of light and dark in variables.
#pragma once

namespace tessera {

inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;--ground:#f4f6f8;--card:#ffffff;--ink:#1c2024;--soft:#5c656e;--line:#e3e7eb;--bar:#2a78d6;--rail:#e8eef6}
@media (prefers-color-scheme:dark){:root{--ground:#0c0e10;--card:#14171a;--ink:#e8eaed;--soft:#a3abb3;--line:#2c3238;--bar:#5ba4f5;--rail:#222a33}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 20px 64px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.01em;margin:0 0 6px}
h2{font-size:17px;margin:0 0 14px}
p{margin:0 0 10px}
section>p:last-child{margin:0}
.lead{color:var(--soft);font-size:16px;margin-bottom:26px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:22px 24px;margin-top:18px}
.scroll{overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(124px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.tile b{display:block;font-size:26px;line-height:1.2;font-weight:650;white-space:nowrap}
.tile span{color:var(--soft);font-size:13px}
.curves svg{display:block;width:100%;height:auto}
.curves{padding:10px;overflow-x:auto}
.curves svg{min-width:640px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child>td,tr:last-child>th{border-bottom:0}
thead th{color:var(--soft);font-weight:500;font-size:13px}
tbody th{font-weight:600}
.number{text-align:right;white-space:nowrap}
th.number,td.number{padding-right:28px}
.best{font-weight:700}
.soft{color:var(--soft)}
.categories{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:4px 36px}
.category{display:grid;grid-template-columns:minmax(90px,1fr) 2fr 48px 48px;gap:10px;align-items:center;font-variant-numeric:tabular-nums}
.category>:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rail{background:var(--rail);border-radius:4px;height:8px}
.bar{background:var(--bar);border-radius:4px;height:8px}
.samples{display:grid;gap:24px}
.pictures{display:flex;flex-wrap:wrap;gap:12px}
figure{margin:0;flex:1 1 220px;max-width:100%}
figure img{display:block;width:100%;height:auto;max-height:640px;object-fit:contain;object-position:left;border-radius:8px;background:var(--ground)}
.small img{image-rendering:pixelated}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
.missing{border:1px dashed var(--line);border-radius:8px;padding:28px 16px;color:var(--soft);overflow-wrap:anywhere}
pre{margin:0;overflow-x:auto;font:13px/1.45 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.command{background:var(--ground);border-radius:8px;padding:12px 14px;margin-bottom:14px}
summary{cursor:pointer;font-weight:600;font-size:17px}
details pre{margin-top:14px}
@media print{body{background:none}section,.tile{break-inside:avoid}}
)css";

}  // namespace tessera
