// @ts-check
// A lab in a notebook, in a frame of its own: as high as it needs, and light or dark as the notebook is.
"use strict";

(() => {
  const root = document.documentElement;
  const frame = /** @type {HTMLElement | null} */ (globalThis.frameElement); // null where the page around is another's

  /** Whether the page around writes in a light colour; where it cannot be seen, whether the system is dark. */
  function isDark() {
    if (!frame) return matchMedia("(prefers-color-scheme: dark)").matches;
    const [red, green, blue] = (getComputedStyle(frame).color.match(/[\d.]+/g) ?? []).map(Number);
    return 0.3 * red + 0.6 * green + 0.1 * blue > 128;
  }

  function follow() {
    root.dataset.theme = isDark() ? "dark" : "light";
    if (frame) frame.style.height = `${root.offsetHeight}px`;
  }

  new ResizeObserver(follow).observe(root);
  if (frame) {
    const { body, documentElement } = frame.ownerDocument; // one of them says which theme the notebook has
    for (const part of [body, documentElement]) new MutationObserver(follow).observe(part, { attributes: true });
  }
  follow();
})();
