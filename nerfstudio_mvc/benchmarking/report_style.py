"""Style and behaviour of the report page; what is on it is `html_report`'s."""

from __future__ import annotations

# Told apart also by eyes that see little red or green; ours is the first, in the strongest colour.
COLOURS = (
    "#c2185b",
    "#1f77b4",
    "#e6a100",
    "#2a9d8f",
    "#7b4fb5",
    "#8c564b",
    "#5c6770",
    "#d4572a",
    "#3a5bd0",
    "#7a9a01",
    "#0f8fb0",
    "#b0568f",
)
SERIES_CLASSES = len(COLOURS)

STYLE = (
    "".join(f".s{index}{{--colour:{colour}}}" for index, colour in enumerate(COLOURS))
    + """
:root{color-scheme:light;font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;color:#1d2329}
body{margin:0;background:#f4f5f7}
header,section{max-width:1240px;margin:0 auto 20px;padding:18px 24px;background:#fff;box-sizing:border-box}
section{border:1px solid #e1e4e8;border-radius:8px}
header{background:none;margin-bottom:0}
h1{margin:0;font-size:28px}h2{margin:0 0 4px;font-size:22px}h3{margin:26px 0 2px;font-size:17px}
h4{margin:14px 0 6px;font-size:14px;color:#4a545e;font-weight:600}
p{margin:4px 0 10px;color:#4a545e;max-width:80ch}
nav{display:flex;flex-wrap:wrap;gap:6px 18px}a{color:#0b5cad}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;max-width:none}
.name{white-space:nowrap}
.swatch{display:inline-block;width:.75em;height:.75em;margin-right:.4em;border-radius:50%;background:var(--colour,#999)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,540px),1fr));gap:18px}
figure{margin:0}figcaption{font-weight:600;margin-bottom:4px}
.chart{min-width:0}.wide{overflow-x:auto}
svg{display:block;max-width:none}
.grid{stroke:#e6e9ec}.tick{font-size:12px;fill:#4a545e}.axis{font-size:13px;fill:#1d2329}
.line{fill:none;stroke:var(--colour);stroke-width:2}.line.s0{stroke-width:3}
.mark,.bar{fill:var(--colour)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:3px 14px 3px 0;text-align:left;border-bottom:1px solid #e6e9ec;white-space:nowrap}
th{font-size:13px;color:#4a545e}.number{text-align:right}th:nth-child(n+3){text-align:right}
.better{color:#11683a}.worse{color:#a0271f}
.crops{display:flex;flex-wrap:wrap;gap:14px}
.crop{width:208px}.crop figcaption{font-weight:400;font-size:13px;line-height:1.35;margin-top:4px}
.window{overflow:hidden;width:208px;height:208px;background:#e6e9ec;cursor:crosshair;touch-action:none}
.window img{display:block;image-rendering:pixelated;transform-origin:var(--x,50%) var(--y,50%);
transform:scale(var(--zoom,1));user-select:none}
.zoom{display:inline-flex;gap:8px;align-items:center}
dl.peers{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0}dd{margin:0}
.note,.none{font-style:italic}
"""
)

# All pictures of a capture are looked at in the same place; the original shows while the button is held.
SCRIPT = """
for (const section of document.querySelectorAll('section')) {
  const slider = section.querySelector('.zoom input');
  if (!slider) continue;
  const show = () => {
    section.style.setProperty('--zoom', slider.value);
    section.querySelector('.zoom output').value = slider.value;
  };
  slider.addEventListener('input', show);
  for (const row of section.querySelectorAll('.crops')) {
    const original = row.querySelector('img').src;
    row.addEventListener('pointermove', event => {
      const frame = event.target.closest('.window');
      if (!frame) return;
      const box = frame.getBoundingClientRect();
      row.style.setProperty('--x', 100 * (event.clientX - box.left) / box.width + '%');
      row.style.setProperty('--y', 100 * (event.clientY - box.top) / box.height + '%');
    });
    row.addEventListener('wheel', event => {
      if (!event.ctrlKey || !event.target.closest('.window')) return;
      event.preventDefault();
      slider.value = +slider.value * (event.deltaY < 0 ? 1.25 : 0.8);
      show();
    }, {passive: false});
    for (const picture of row.querySelectorAll('img')) {
      const own = picture.src;
      picture.addEventListener('pointerdown', () => { picture.src = original; });
      for (const end of ['pointerup', 'pointerleave']) picture.addEventListener(end, () => { picture.src = own; });
    }
  }
}
"""
