// Docutils gives the entries of the bibliography a role that a list may not hold, and that ARIA has given up.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[role=doc-biblioentry]").forEach((entry) => entry.setAttribute("role", "listitem"));
});
