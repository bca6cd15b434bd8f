"""The page's own script: keys, enlarged pictures, light and dark, the address and its copy.

It holds no text of a run: what is untrusted reaches the page as escaped HTML alone.
"""

from __future__ import annotations

KEYS = (
    ("j  ↓  →", "next group"),
    ("k  ↑  ←", "previous group"),
    ("]", "next step"),
    ("[", "previous step"),
    ("/", "search"),
    ("t", "light or dark"),
    ("Esc", "close a picture or this help"),
    ("?", "these keys"),
)

HEAD = """
<meta name="referrer" content="no-referrer">
<script>
(() => {
  const byId = id => document.getElementById(id);
  const press = id => {
    const e = byId(id);
    (e?.matches('button') ? e : e?.querySelector('button'))?.click();
  };
  const buttons = {j: 'mi-next', ArrowDown: 'mi-next', ArrowRight: 'mi-next',
    k: 'mi-previous', ArrowUp: 'mi-previous', ArrowLeft: 'mi-previous',
    ']': 'mi-step-next', '[': 'mi-step-previous'};
  const typed = 'textarea, select, [contenteditable="true"], [role="listbox"] input, '
    + 'input:not([type=radio], [type=checkbox], [type=range])';
  const turned = 'input, [role="tab"], [role="slider"]';
  const stored = value => {
    try {
      if (value) localStorage.setItem('mmrl-theme', value);
      return localStorage.getItem('mmrl-theme');
    } catch (_) { return null; }
  };
  const shut = () => {
    const open = document.querySelectorAll('.mi-full, .mi-help.mi-open');
    open.forEach(e => e.classList.remove('mi-full', 'mi-open'));
    return open.length > 0;
  };
  window.mmrlTheme = () => {
    const dark = !document.body.classList.contains('dark');
    document.body.classList.toggle('dark', dark);
    stored(dark ? 'dark' : 'light');
  };
  window.mmrlHelp = () => byId('mi-help')?.classList.toggle('mi-open');
  window.mmrlCopy = async () => {
    const button = byId('mi-copy'), before = button.textContent;
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = 'Copied';
    } catch (_) { button.textContent = 'Copy the address bar'; }
    setTimeout(() => { button.textContent = before; }, 2000);
  };
  const settle = () => {
    const wanted = stored();
    if (wanted) document.body.classList.toggle('dark', wanted === 'dark');
  };
  const begin = () => {
    settle();
    new MutationObserver(settle).observe(document.body, {attributeFilter: ['class']});
  };
  if (document.body) begin();
  else document.addEventListener('DOMContentLoaded', begin);
  document.addEventListener('click', event => {
    const picture = event.target.closest?.('.mi-picture');
    if (picture) {
      const open = picture.classList.contains('mi-full');
      shut();
      if (!open) picture.classList.add('mi-full');
    } else if (event.target.id === 'mi-help') shut();
  });
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (event.key === 'Escape') {
      if (!shut()) at?.blur?.();
      return;
    }
    if (at?.closest?.(typed)) return;
    if (event.key.startsWith('Arrow') && at?.closest?.(turned)) return;
    if (event.key === 'Enter' && at?.classList?.contains('mi-picture')) return at.click();
    if (event.key === '?') return window.mmrlHelp();
    if (event.key === 't') return window.mmrlTheme();
    if (!byId('mi-next')?.offsetParent) return;
    if (event.key === '/') {
      const field = byId('mi-search')?.querySelector('input, textarea');
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    } else if (buttons[event.key]) {
      event.preventDefault();
      press(buttons[event.key]);
    }
  });
})();
</script>
"""

PICK = """
element.addEventListener('click', event => {
  const row = event.target.closest('.mi-row');
  if (row) trigger('click', {step: row.dataset.step, draw: row.dataset.draw});
});
const look = () => { const on = element.querySelector('.mi-on');
  if (on) on.scrollIntoView({block: 'nearest'}); };
watch('value', () => setTimeout(look, 30));
"""
"""Of the list of groups: a click says which group is meant; the chosen row stays in sight."""

SHOW_LINK = "(link) => { if (link) history.replaceState(null, '', link); }"
PRESS_DOWNLOAD = "() => setTimeout(() => document.querySelector('#mi-file')?.click(), 60)"


def help_html() -> str:
    """The box with the keys."""
    rows = "".join(
        f"<tr><td>{' '.join(f'<kbd>{key}</kbd>' for key in keys.split())}</td><td>{what}</td></tr>"
        for keys, what in KEYS
    )
    return f'<div class="mi-help" id="mi-help"><div><table>{rows}</table></div></div>'
