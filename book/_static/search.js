// What a search shows of a page begins in its text. The theme's table of contents for paper stands before that, unseen,
// and holds nearly every word that is searched for.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return; // every page but that of the search
  const toText = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll("#jb-print-docs-body, .prev-next-footer").forEach((part) => part.remove());
    return toText(page.documentElement.outerHTML, anchor);
  };
});
