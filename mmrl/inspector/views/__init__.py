"""The tabs of the inspector page, one module each: `tab(page)` builds it."""
