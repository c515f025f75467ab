// Paper is white: print in the light colours, and go back to what the reader chose.
let chosen;
window.addEventListener("beforeprint", () => {
  chosen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = chosen;
});
