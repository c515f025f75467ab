// Docutils gives the entries of the bibliography a role that a list may not hold, and that ARIA has given up.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[role=doc-biblioentry]").forEach((entry) => entry.setAttribute("role", "listitem"));
});
// On a narrow window the page's contents open over the page. Whoever follows one of them wants to see where it leads.
document.addEventListener("DOMContentLoaded", () => {
  const drawer = document.getElementById("pst-secondary-sidebar-modal");
  drawer?.addEventListener("click", (event) => event.target.closest("a[href^='#']") && drawer.close());
});
// Myst-NB gives all folds over code one label, for those who hear the page: let them hear what is in each, as others see it.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("details.hide > summary").forEach((summary) => summary.removeAttribute("aria-label"));
});
